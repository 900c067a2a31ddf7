# meson and ninja do the work; this file is the short way to them.
B = build

all: $(B)/build.ninja
	@ninja -C $(B)
$(B)/build.ninja:
	@tools/deps.sh build && meson setup -Dtests=false $(SETUP) $(B)
demo check bench fuzz:
	@tools/deps.sh --install build $@ && tools/$@.sh
check-vm:
	@tools/deps.sh --install build check $@ && tools/$@.sh
install: all
	@meson install -C $(B) --no-rebuild
clean:
	rm -rf $(B) build-check build-fuzz
.PHONY: all demo check check-vm bench fuzz install clean
