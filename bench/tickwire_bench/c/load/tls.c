/* TLS from the client's side, by OpenSSL. No certificate is checked: it connects to this machine only. */
#include "load.h"

#ifdef TLS
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static SSL_CTX *context;

static _Noreturn void broken(const connection *c, const char *when) {
    unsigned long error = ERR_get_error();
    fail("TLS of %s, %s: %s", who(c), when, error ? ERR_reason_error_string(error) : "the connection was lost");
}

/* Whether it only waits for the socket. */
static bool waits(const connection *c, int result, const char *when) {
    int why = SSL_get_error(c->tls, result);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return true;
    if (why == SSL_ERROR_ZERO_RETURN) return false;
    broken(c, when);
}

/* Returns whether the handshake is over; it is called again until it is. */
bool secure(connection *c) {
    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        if (!context) broken(c, "at its beginning");
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    }
    if (!c->tls) {
        c->tls = SSL_new(context);
        if (!c->tls || !SSL_set_fd(c->tls, c->fd)) broken(c, "at its beginning");
        SSL_set_connect_state(c->tls);
    }
    ERR_clear_error();
    int result = SSL_do_handshake(c->tls);
    if (result != 1 && !waits(c, result, "in the handshake")) broken(c, "in the handshake");
    return result == 1;
}

/* As recv, but as much as there is: -1 with EAGAIN where that is nothing. */
ssize_t read_secured(connection *c, void *data, size_t room) {
    size_t had = 0;
    while (had < room) {
        ERR_clear_error();
        int got = SSL_read(c->tls, (char *)data + had, room - had > 1 << 30 ? 1 << 30 : (int)(room - had));
        if (got > 0) had += (size_t)got;
        else if (!waits(c, got, "reading") && !had) return 0;
        else break;
    }
    if (had) return (ssize_t)had;
    errno = EAGAIN;
    return -1;
}

/* As recv with MSG_PEEK. */
ssize_t peek_secured(connection *c, void *data, size_t room) {
    ERR_clear_error();
    int there = SSL_peek(c->tls, data, (int)room);
    if (there > 0) return there;
    if (!waits(c, there, "reading")) return 0;
    errno = EAGAIN;
    return -1;
}

ssize_t write_secured(connection *c, const void *data, size_t size) {
    ERR_clear_error();
    int sent = SSL_write(c->tls, data, size > 1 << 30 ? 1 << 30 : (int)size);
    if (sent > 0) return sent;
    if (!waits(c, sent, "writing")) broken(c, "writing");
    errno = EAGAIN;
    return -1;
}

void forget_secured(connection *c) { SSL_free(c->tls); }

#else

bool secure(connection *c) {
    (void)c;
    contradiction("--tls: this was compiled without OpenSSL's headers (libssl-dev)");
    return false;
}
ssize_t read_secured(connection *c, void *data, size_t room) { return (void)c, (void)data, (void)room, -1; }
ssize_t peek_secured(connection *c, void *data, size_t room) { return (void)c, (void)data, (void)room, -1; }
ssize_t write_secured(connection *c, const void *data, size_t size) { return (void)c, (void)data, (void)size, -1; }
void forget_secured(connection *c) { (void)c; }

#endif
