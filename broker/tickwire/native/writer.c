/* A thread that writes to a disk and never needs the interpreter: on one core, a thread of Python's that commits passes
   it to and fro with the event loop nine times a commit. Its reference is `DiskStore.commit`, in a thread of Python's. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>

enum { NOTE_BYTES = 64 };

typedef struct {
    pthread_t thread;
    sem_t given; /* once for each thing to do, and once more to end */
    bool ends;
    int ended; /* an eventfd: readable when what was given is done */
    int file, note_file;
    const char *data;
    uint64_t size, note_size;
    int64_t at, result;
    char note[NOTE_BYTES];
} writer;

static int64_t write_whole(int file, const char *data, uint64_t size, int64_t at) {
    ssize_t wrote;
    do
        wrote = pwrite(file, data, size, at);
    while (wrote < 0 && errno == EINTR);
    return wrote < 0 ? -errno : (uint64_t)wrote < size ? -EIO : 0;
}

static void *run(void *given) {
    writer *self = given;
    for (;;) {
        while (sem_wait(&self->given))
            ; /* interrupted */
        if (self->ends)
            return NULL;
        int64_t result = write_whole(self->file, self->data, self->size, self->at);
        self->result = result ? result : write_whole(self->note_file, self->note, self->note_size, 0);
        eventfd_write(self->ended, 1);
    }
}

/* The thread, or NULL. Its files are written through: what `pwrite` returned from is durable. */
void *tickwire_writer_open(int32_t file, int32_t note_file) {
    writer *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->file = file;
    self->note_file = note_file;
    self->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sem_init(&self->given, 0, 0);
    sigset_t all, before; /* signals are for the threads of Python's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = self->ended < 0 || pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        return self;
    if (self->ended >= 0)
        close(self->ended);
    free(self);
    return NULL;
}

/* Readable when what was given is done. */
int64_t tickwire_writer_ended(const writer *self) { return self->ended; }

/* Write the data, which stays as it is until that is done, and then the note at the beginning of its file. Only when
   nothing else is under way. */
void tickwire_writer_give(writer *self, const char *data, uint64_t size, int64_t at, const char *note,
                          uint64_t note_size) {
    self->data = data;
    self->size = size;
    self->at = at;
    self->note_size = note_size < NOTE_BYTES ? note_size : NOTE_BYTES;
    memcpy(self->note, note, self->note_size);
    sem_post(&self->given); /* what was written before it, the thread sees */
}

/* What became of it: 0, or an errno below 0; 1 where it is not done yet. */
int64_t tickwire_writer_result(writer *self) {
    eventfd_t count;
    return eventfd_read(self->ended, &count) ? 1 : self->result;
}

/* End. Only when nothing is under way. */
void tickwire_writer_close(writer *self) {
    self->ends = true;
    sem_post(&self->given);
    pthread_join(self->thread, NULL);
    sem_destroy(&self->given);
    close(self->ended);
    free(self);
}
#endif
