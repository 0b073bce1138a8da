#include "paths/handshake.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace redoubt::paths {

namespace {

using Clock = std::chrono::steady_clock;

template <auto free>
struct Free {
  template <class T>
  void operator()(T* p) const {
    free(p);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Free<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// False when the time is up.
bool wait_for(int fd, short events, Clock::time_point end) {
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) return false;
    pollfd p{fd, events, 0};
    int n = ::poll(&p, 1, static_cast<int>(left));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

Socket connect_to(const Peer& peer, Clock::time_point end, std::string& error) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (int code = ::getaddrinfo(peer.host.c_str(), std::to_string(peer.port).c_str(), &hints, &found); code != 0) {
    error = gai_strerror(code);
    return Socket(-1);
  }
  std::unique_ptr<addrinfo, Free<freeaddrinfo>> keep(found);
  for (addrinfo* a = found; a != nullptr; a = a->ai_next) {
    Socket socket(::socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol));
    if (socket.fd() < 0) continue;
    int code = 0;
    if (::connect(socket.fd(), a->ai_addr, a->ai_addrlen) != 0) {
      code = errno;
      if (code == EINPROGRESS) {
        if (!wait_for(socket.fd(), POLLOUT, end)) {
          error = "no answer in time";
          continue;
        }
        socklen_t size = sizeof code;
        ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &code, &size);
      }
    }
    if (code == 0) return socket;
    error = std::strerror(code);
  }
  if (error.empty()) error = "no address";
  return Socket(-1);
}

std::string ssl_error() {
  unsigned long code = ERR_peek_error();
  ERR_clear_error();
  if (code == 0) return "the connection was closed";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "the handshake failed";
}

// Repeats an operation of the library until it is done, has failed, or the time is up. Its value.
template <class Work>
int drive(SSL* ssl, int fd, Clock::time_point end, std::string& error, Work work) {
  for (;;) {
    ERR_clear_error();
    int n = work();
    if (n > 0) return n;
    int why = SSL_get_error(ssl, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
      if (wait_for(fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, end)) continue;
      error = "no answer in time";
      return -1;
    }
    if (why == SSL_ERROR_ZERO_RETURN) return 0;
    error = ssl_error();
    return -1;
  }
}

bool use_certificate(SSL_CTX* context, const Offer& offer) {
  BioPtr certificates(BIO_new_mem_buf(offer.certificate_pem.data(), static_cast<int>(offer.certificate_pem.size())));
  X509Ptr leaf(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
  BioPtr keys(BIO_new_mem_buf(offer.private_key_pem.data(), static_cast<int>(offer.private_key_pem.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(keys.get(), nullptr, nullptr, nullptr));
  return leaf && key && SSL_CTX_use_certificate(context, leaf.get()) == 1 &&
         SSL_CTX_use_PrivateKey(context, key.get()) == 1;
}

// An open connection and what is known of it.
struct Connection {
  Handshake handshake;
  Socket socket{-1};
  ContextPtr context;
  SslPtr ssl;

  int write(const char* data, int size, Clock::time_point end, std::string& error) {
    if (ssl) return drive(ssl.get(), socket.fd(), end, error, [&] { return SSL_write(ssl.get(), data, size); });
    for (;;) {
      ssize_t n = ::send(socket.fd(), data, static_cast<size_t>(size), MSG_NOSIGNAL);
      if (n >= 0) return static_cast<int>(n);
      if (errno != EAGAIN || !wait_for(socket.fd(), POLLOUT, end)) {
        error = errno == EAGAIN ? "no answer in time" : std::strerror(errno);
        return -1;
      }
    }
  }
  int read(char* data, int size, Clock::time_point end, std::string& error) {
    if (ssl) return drive(ssl.get(), socket.fd(), end, error, [&] { return SSL_read(ssl.get(), data, size); });
    for (;;) {
      ssize_t n = ::recv(socket.fd(), data, static_cast<size_t>(size), 0);
      if (n >= 0) return static_cast<int>(n);
      if (errno != EAGAIN || !wait_for(socket.fd(), POLLIN, end)) {
        error = errno == EAGAIN ? "no answer in time" : std::strerror(errno);
        return -1;
      }
    }
  }
};

void negotiate(Connection& c, const Offer& offer, Clock::time_point end) {
  Handshake& h = c.handshake;
  c.context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = c.context.get();
  // The lowest level: what must not be spoken has to be offered to see it refused.
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
  if (offer.max_version != 0) SSL_CTX_set_max_proto_version(context, offer.max_version);
  if (!offer.ciphers.empty() && SSL_CTX_set_cipher_list(context, offer.ciphers.c_str()) != 1) {
    h.error = "this machine's OpenSSL knows none of these suites";
    return;
  }
  if (!offer.certificate_pem.empty() && !use_certificate(context, offer)) {
    h.error = "the client certificate or its key can't be used";
    return;
  }
  // Called when the server asks; -1 would suspend, 0 sends none.
  SSL_CTX_set_client_cert_cb(context, [](SSL* ssl, X509**, EVP_PKEY**) {
    *static_cast<bool*>(SSL_get_app_data(ssl)) = true;
    return 0;
  });
  c.ssl.reset(SSL_new(context));
  SSL_set_app_data(c.ssl.get(), &h.asks_for_certificate);
  SSL_set_fd(c.ssl.get(), c.socket.fd());
  if (!offer.server_name.empty()) SSL_set_tlsext_host_name(c.ssl.get(), offer.server_name.c_str());
  if (drive(c.ssl.get(), c.socket.fd(), end, h.error, [&] { return SSL_connect(c.ssl.get()); }) <= 0) {
    if (h.error.empty()) h.error = "the connection was closed";
    return;
  }
  h.done = true;
  h.version = SSL_get_version(c.ssl.get());
  h.cipher = SSL_get_cipher_name(c.ssl.get());
  if (STACK_OF(X509)* chain = SSL_get_peer_cert_chain(c.ssl.get()); chain != nullptr) {
    for (int i = 0; i < sk_X509_num(chain); ++i) {
      unsigned char* der = nullptr;
      int size = i2d_X509(sk_X509_value(chain, i), &der);
      if (size > 0) h.chain_der.emplace_back(reinterpret_cast<char*>(der), static_cast<size_t>(size));
      OPENSSL_free(der);
    }
  }
}

// The connection must not move once TLS stands on it: the library keeps a pointer to the handshake.
std::unique_ptr<Connection> establish(const Peer& peer, const Offer& offer, Clock::time_point end) {
  auto c = std::make_unique<Connection>();
  std::string error;
  Socket socket = connect_to(peer, end, error);
  if (socket.fd() < 0) {
    c->handshake.error = error;
    return c;
  }
  c = std::unique_ptr<Connection>(new Connection{{}, std::move(socket), nullptr, nullptr});
  c->handshake.connected = true;
  if (offer.tls) negotiate(*c, offer, end);
  return c;
}

}  // namespace

std::string Peer::to_string() const {
  return host.find(':') == std::string::npos ? host + ":" + std::to_string(port)
                                             : "[" + host + "]:" + std::to_string(port);
}

Handshake shake_hands(const Peer& peer, const Offer& offer) {
  return establish(peer, offer, Clock::now() + offer.timeout)->handshake;
}

Answer ask(const Peer& peer, const Offer& offer, std::string_view method, std::string_view path,
           const std::vector<std::pair<std::string, std::string>>& headers) {
  auto end = Clock::now() + offer.timeout;
  Answer out;
  auto c = establish(peer, offer, end);
  out.handshake = c->handshake;
  if (!c->handshake.connected || (offer.tls && !c->handshake.done)) {
    out.error = c->handshake.error;
    return out;
  }
  std::string request;
  request.append(method).append(" ").append(path).append(" HTTP/1.1\r\nHost: ").append(peer.to_string());
  request += "\r\nConnection: close\r\nUser-Agent: redoubt/paths\r\n";
  for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
  request += "\r\n";
  if (c->write(request.data(), static_cast<int>(request.size()), end, out.error) <= 0) return out;
  std::string text;
  char buffer[4096];
  while (text.size() < kAnswerBytes) {
    int n = c->read(buffer, sizeof buffer, end, out.error);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  // TLS 1.3 refuses a client's certificate after the handshake: then no answer comes but an alert.
  if (!text.starts_with("HTTP/1.") || text.size() < 12) {
    if (out.error.empty()) out.error = text.empty() ? "the connection was closed" : "the answer is no HTTP";
    return out;
  }
  std::from_chars(text.data() + 9, text.data() + 12, out.status);
  out.error.clear();
  if (size_t body = text.find("\r\n\r\n"); body != std::string::npos) out.body = text.substr(body + 4);
  return out;
}

}  // namespace redoubt::paths
