/* SPDX-License-Identifier: MIT */
/*
 * Programs that this one starts: the environment brings the shim to them, also
 * where the program made one of its own; and those that cannot have a shim are
 * noted down.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "look.h"
#include "raw.h"
#include "shim.h"

#define EXEC_LIBRARY_MAX 1024
#define EXEC_ENV_MAX 4096     /* variables; an environment of more is left alone */
#define EXEC_ARGS_MAX 16384

extern char **environ;

static char exec_library[EXEC_LIBRARY_MAX];   /* "LD_PRELOAD=..." */
static char exec_env[320], exec_policy[128];  /* likewise; "": not there */

typedef int exec_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
typedef int exec_vpe(const char *file, char *const argv[], char *const envp[]);
static exec_spawn *exec_next_spawn, *exec_next_spawnp;
static exec_vpe *exec_next_vpe;

static void exec_assign(char *to, size_t size, const char *name, const char *value)
{
	size_t name_len = strlen(name), len = value ? strlen(value) : 0;

	if (!value || name_len + len + 2 > size)
		return;
	memcpy(to, name, name_len);
	to[name_len] = '=';
	memcpy(to + name_len + 1, value, len + 1);
}

void shim_exec_start(const char *library, const char *env, const char *env_policy)
{
	void *p;

	exec_assign(exec_library, sizeof(exec_library), "LD_PRELOAD", library);
	exec_assign(exec_env, sizeof(exec_env), SHARED_ENV, env);
	exec_assign(exec_policy, sizeof(exec_policy), SHARED_ENV_POLICY, env_policy);
	p = dlsym(RTLD_NEXT, "posix_spawn");
	memcpy(&exec_next_spawn, &p, sizeof(p));
	p = dlsym(RTLD_NEXT, "posix_spawnp");
	memcpy(&exec_next_spawnp, &p, sizeof(p));
	p = dlsym(RTLD_NEXT, "execvpe");
	memcpy(&exec_next_vpe, &p, sizeof(p));
}

/* ----------------------------------------------------------- environment */

static bool exec_names(const char *entry, const char *assignment)
{
	size_t len = (size_t)(strchr(assignment, '=') - assignment) + 1;

	return strncmp(entry, assignment, len) == 0;
}

static const char *exec_find(char *const *envp, const char *assignment)
{
	for (; envp && *envp; envp++)
		if (exec_names(*envp, assignment))
			return *envp;
	return NULL;
}

/* What has to be in the environment and is not: bits 1 library, 2 env, 4 policy. */
static unsigned exec_lacks(char *const *envp)
{
	const char *preload = exec_find(envp, exec_library);
	unsigned lacks = 0;

	if (!preload || !strstr(preload, strchr(exec_library, '=') + 1))
		lacks |= 1;
	if (*exec_env && !exec_find(envp, exec_env))
		lacks |= 2;
	if (!exec_find(envp, exec_policy))
		lacks |= 4;
	return lacks;
}

static size_t exec_env_n(char *const *envp)
{
	size_t n = 0;

	while (envp && envp[n])
		n++;
	return n;
}

/* Room that exec_env_fill() needs for the text of LD_PRELOAD. */
static size_t exec_text_size(char *const *envp)
{
	const char *preload = exec_find(envp, exec_library);

	return strlen(exec_library) + (preload ? strlen(preload) : 0) + 2;
}

/* ret: exec_env_n() + 4 pointers. */
static void exec_env_fill(char *const *envp, unsigned lacks, char **ret, char *text)
{
	size_t n = 0;

	for (; envp && *envp; envp++)
		if (!(lacks & 1) || !exec_names(*envp, exec_library))
			ret[n++] = *envp;
	if (lacks & 1)
		ret[n++] = text;
	if (lacks & 2)
		ret[n++] = exec_env;
	if (lacks & 4)
		ret[n++] = exec_policy;
	ret[n] = NULL;
}

static void exec_text_fill(char *const *envp, char *text)
{
	const char *preload = exec_find(envp, exec_library);
	const char *others = preload ? strchr(preload, '=') + 1 : "";

	text = stpcpy(text, exec_library);
	if (*others) {
		*text++ = ':';
		(void)strcpy(text, others);
	}
}

/*
 * Runs `body` with `env` set to the environment that the new program gets: on
 * this stack, for a child of vfork() may not allocate.
 */
#define EXEC_WITH_ENV(envp, env, body)                                                  \
	do {                                                                            \
		unsigned lacks_ = shim.on && *exec_library ? exec_lacks(envp) : 0;      \
		size_t n_ = exec_env_n(envp);                                           \
		if (!lacks_ || n_ > EXEC_ENV_MAX) {                                     \
			char *const *env = (envp);                                      \
			body;                                                           \
		} else {                                                                \
			char **own_ = __builtin_alloca((n_ + 4) * sizeof(*own_));       \
			char *text_ = __builtin_alloca(exec_text_size(envp));           \
			char *const *env = own_;                                        \
			exec_text_fill(envp, text_);                                    \
			exec_env_fill(envp, lacks_, own_, text_);                       \
			body;                                                           \
		}                                                                       \
	} while (0)

/* ------------------------------------------------------------------ holes */

static struct shared_hole *exec_note(const char *path)
{
	struct shared_hole *hole;
	uint32_t i, why;
	size_t len;

	if (!shim.shared || !shim_look_program(path, &why))
		return NULL;
	i = __atomic_fetch_add(&shim.shared->holes_n, 1, __ATOMIC_RELAXED);
	if (i >= SHARED_HOLES)
		return NULL;
	hole = &shim.shared->holes[i];
	hole->why = why;
	len = strlen(path);
	if (len >= sizeof(hole->exe))
		len = sizeof(hole->exe) - 1;
	memcpy(hole->exe, path, len);
	hole->exe[len] = '\0';
	__atomic_store_n(&hole->ready, 1, __ATOMIC_RELEASE);
	return hole;
}

static void exec_unnote(struct shared_hole *hole)
{
	if (hole)
		__atomic_store_n(&hole->ready, 0, __ATOMIC_RELEASE);
}

/* As execvp() looks for it; "" where it will not be found. */
static void exec_path(const char *file, char *ret, size_t size)
{
	const char *path = getenv("PATH"), *end;
	size_t file_len = strlen(file);

	ret[0] = '\0';
	if (strchr(file, '/') || !path) {
		if (file_len < size)
			memcpy(ret, file, file_len + 1);
		return;
	}
	for (; *path; path = *end ? end + 1 : end) {
		size_t len;

		end = strchrnul(path, ':');
		len = (size_t)(end - path);
		if (len + file_len + 2 > size)
			continue;
		memcpy(ret, path, len);
		ret[len] = '/';
		memcpy(ret + len + (len > 0), file, file_len + 1);
		if (raw3(SYS_faccessat, AT_FDCWD, ret, X_OK) == 0)
			return;
	}
	ret[0] = '\0';
}

/* ------------------------------------------------------------- the calls */

static int exec_at(int dir, const char *path, char *const *argv, char *const *envp, int flags)
{
	struct shared_hole *hole = dir == AT_FDCWD ? exec_note(path) : NULL;
	long r = 0;

	EXEC_WITH_ENV(envp, env, r = raw(SYS_execveat, dir, (long)path, (long)argv, (long)env,
					 flags, 0));
	exec_unnote(hole);
	return (int)shim_return(r);
}

SHIM_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	struct shared_hole *hole = exec_note(path);
	long r = 0;

	EXEC_WITH_ENV(envp, env, r = raw3(SYS_execve, path, argv, env));
	exec_unnote(hole);
	return (int)shim_return(r);
}

SHIM_EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

SHIM_EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[],
			 int flags)
{
	return exec_at(dir, path, argv, envp, flags);
}

SHIM_EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	return exec_at(fd, "", argv, envp, AT_EMPTY_PATH);
}

SHIM_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct shared_hole *hole;
	char path[1024];
	int r = -1;

	if (!exec_next_vpe) {
		errno = ENOSYS;
		return -1;
	}
	exec_path(file, path, sizeof(path));
	hole = *path ? exec_note(path) : NULL;
	EXEC_WITH_ENV(envp, env, r = exec_next_vpe(file, argv, env));
	exec_unnote(hole);
	return r;
}

SHIM_EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* Arguments after the first, as a vector on the caller's stack. */
#define EXEC_LIST(first, ap, argv)                                                      \
	char **argv;                                                                    \
	do {                                                                            \
		va_list count_;                                                         \
		size_t n_ = 1;                                                          \
		va_start(ap, first);                                                    \
		va_copy(count_, ap);                                                    \
		while (n_ < EXEC_ARGS_MAX && va_arg(count_, char *))                    \
			n_++;                                                           \
		va_end(count_);                                                         \
		argv = __builtin_alloca((n_ + 1) * sizeof(*argv));                      \
		argv[0] = (char *)(first);                                              \
		for (size_t i_ = 1; i_ <= n_; i_++)                                     \
			argv[i_] = va_arg(ap, char *);                                  \
	} while (0)

SHIM_EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list ap;

	EXEC_LIST(arg, ap, argv);
	va_end(ap);
	return execve(path, argv, environ);
}

SHIM_EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list ap;

	EXEC_LIST(arg, ap, argv);
	va_end(ap);
	return execvpe(file, argv, environ);
}

SHIM_EXPORT int execle(const char *path, const char *arg, ...)
{
	char *const *envp;
	va_list ap;

	EXEC_LIST(arg, ap, argv);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return execve(path, argv, envp);
}

static int exec_spawn_by(exec_spawn *next, pid_t *pid, const char *path,
			 const char *found, const posix_spawn_file_actions_t *actions,
			 const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct shared_hole *hole = *found ? exec_note(found) : NULL;
	int r = ENOSYS;

	if (next)
		EXEC_WITH_ENV(envp, env, r = next(pid, path, actions, attr, argv, env));
	if (r != 0)
		exec_unnote(hole);
	return r;
}

SHIM_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
			    const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return exec_spawn_by(exec_next_spawn, pid, path, path, actions, attr, argv, envp);
}

SHIM_EXPORT int posix_spawnp(pid_t *pid, const char *file,
			     const posix_spawn_file_actions_t *actions,
			     const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	char path[1024];

	exec_path(file, path, sizeof(path));
	return exec_spawn_by(exec_next_spawnp, pid, file, path, actions, attr, argv, envp);
}
