/* SPDX-License-Identifier: MIT */
#include "core_job.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CORE_JOB_LOOK_MS 100
/* How long a cancelled capture may take to put the target right and end. */
#define CORE_JOB_END_NS UINT64_C(5000000000)

static int core_job_progress(void *arg, const struct decant_capture_progress *p)
{
	struct core_job *job = arg;

	atomic_store(&job->bytes, p->bytes);
	atomic_store(&job->expected_bytes, p->expected_bytes);
	return atomic_load(&job->cancel);
}

static void *core_job_thread(void *arg)
{
	struct core_job *job = arg;

	/* This thread does nothing else: it may give way. */
	job->options.flags |= DECANT_CAPTURE_YIELD;
	job->result = job->run ? job->run(job) :
		      decant_capture(job->engine, job->target, &job->options, &job->sink,
				     job->report);
	(void)eventfd_write(job->done_fd, 1);
	return NULL;
}

static void core_job_show(struct core_job *job, struct progress *p, uint64_t now_ns)
{
	uint64_t expected = atomic_load(&job->expected_bytes);

	p->total = expected ? expected : DECANT_TO_END;
	progress_bytes(p, atomic_load(&job->bytes), now_ns);
}

/* 0 when it has ended, -EINTR when it is not to be waited for. */
static int core_job_wait(struct core_job *job, struct waiter *w, struct progress *p)
{
	uint64_t deadline_ns = 0;

	for (;;) {
		bool look = progress_wanted(p) || deadline_ns;
		struct pollfd fds[2] = {
			{ .fd = job->done_fd, .events = POLLIN },
			{ .fd = w->signal_fd, .events = POLLIN },
		};
		uint64_t now_ns;

		(void)poll(fds, 2, look ? CORE_JOB_LOOK_MS : -1);
		now_ns = waiter_now_ns();
		if (fds[0].revents & POLLIN)
			return 0;
		if (waiter_signal(w) || (w->signal && !deadline_ns)) {
			if (deadline_ns)
				return -EINTR;
			atomic_store(&job->cancel, true);
			deadline_ns = now_ns + CORE_JOB_END_NS;
		}
		if (deadline_ns && now_ns >= deadline_ns)
			return -EINTR;
		core_job_show(job, p, now_ns);
	}
}

int core_job_run(struct core_job *job, struct waiter *w, int progress_fd, struct err *reterr)
{
	struct progress progress;
	pthread_t thread;
	int r;

	job->options.progress = core_job_progress;
	job->options.progress_arg = job;
	job->done_fd = eventfd(0, EFD_CLOEXEC);
	if (job->done_fd < 0)
		return err_errno(reterr, -errno, "core: waiting for the capture");
	r = -pthread_create(&thread, NULL, core_job_thread, job);
	if (r < 0) {
		(void)close(job->done_fd);
		return err_errno(reterr, r, "core: a thread");
	}
	progress_start(&progress, progress_fd, DECANT_TO_END, waiter_now_ns(), w);
	r = core_job_wait(job, w, &progress);
	if (r < 0)
		return r;
	(void)pthread_join(thread, NULL);
	(void)close(job->done_fd);
	/* What was expected was a guess. */
	if (job->result >= 0)
		atomic_store(&job->expected_bytes, atomic_load(&job->bytes));
	core_job_show(job, &progress, waiter_now_ns());
	progress_end(&progress, waiter_now_ns());
	if (job->result >= 0)
		return 0;
	return err_set(reterr, job->result, "%s", job->report->message[0] ?
						  job->report->message :
						  decant_strerror(job->engine));
}
