#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/ip/address.hpp>

#include "base/event.h"
#include "net/limits.h"
#include "net/pieces.h"
#include "net/tls_context.h"
#include "net/unsent.h"

namespace redoubt::net {

namespace {

// What OpenSSL reads from and writes to: two buffers in memory, so that any Stream can carry the records.
struct Buffers {
  std::string in;
  size_t in_used = 0;
  std::string out;
};

BIO_METHOD* memory_method() {
  static BIO_METHOD* method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "redoubt");
    BIO_meth_set_write_ex(m, [](BIO* bio, const char* data, size_t size, size_t* written) {
      static_cast<Buffers*>(BIO_get_data(bio))->out.append(data, size);
      *written = size;
      return 1;
    });
    BIO_meth_set_read_ex(m, [](BIO* bio, char* data, size_t size, size_t* got) {
      auto& b = *static_cast<Buffers*>(BIO_get_data(bio));
      BIO_clear_retry_flags(bio);
      size_t n = std::min(size, b.in.size() - b.in_used);
      if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
      }
      std::memcpy(data, b.in.data() + b.in_used, n);
      b.in_used += n;
      if (b.in_used == b.in.size()) {
        b.in.clear();
        b.in_used = 0;
      }
      *got = n;
      return 1;
    });
    BIO_meth_set_ctrl(m, [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH ? 1 : 0; });
    return m;
  }();
  return method;
}

class TlsStreamImpl : public Stream, public LimitsUnsent {
 public:
  TlsStreamImpl(StreamPtr transport, SslCtxPtr context, Executor executor)
      : transport_(std::move(transport)),
        context_(std::move(context)),
        ssl_(SSL_new(context_.get()), SSL_free),
        flushed_(executor) {
    BIO* bio = BIO_new(memory_method());
    BIO_set_data(bio, &buffers_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
  }

  SSL* ssl() { return ssl_.get(); }

  Task<Result<void>> handshake() {
    while (true) {
      ERR_clear_error();
      int result = SSL_do_handshake(ssl_.get());
      int error = SSL_get_error(ssl_.get(), result);
      std::string reason = error == SSL_ERROR_SSL ? openssl_error() : "";
      RD_CO_TRYV(co_await flush());
      if (result == 1) co_return Result<void>{};
      if (error != SSL_ERROR_WANT_READ) co_return service_unavailable("tls: handshake failed: " + reason);
      RD_CO_TRY(size_t n, co_await fill());
      if (n == 0) co_return service_unavailable("tls: the peer closed the connection during the handshake");
    }
  }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    while (true) {
      ERR_clear_error();
      size_t got = 0;
      int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &got);
      if (result == 1) {
        // Records that have arrived beside the first go along; an error among them shows again at the next read.
        while (got < into.size() && (SSL_pending(ssl_.get()) > 0 || buffers_.in_used < buffers_.in.size())) {
          size_t more = 0;
          if (SSL_read_ex(ssl_.get(), into.data() + got, into.size() - got, &more) != 1) break;
          got += more;
        }
        co_return got;
      }
      int error = SSL_get_error(ssl_.get(), result);
      if (error == SSL_ERROR_ZERO_RETURN) co_return size_t{0};
      if (error != SSL_ERROR_WANT_READ) co_return service_unavailable("tls: " + openssl_error());
      if (!buffers_.out.empty()) RD_CO_TRYV(co_await flush());
      RD_CO_TRY(size_t n, co_await fill());
      if (n == 0) co_return size_t{0};
    }
  }

  Task<Result<void>> write(BytesList pieces) override {
    // Small pieces are gathered, so that records are full. One buffer a thread will do: it is empty at every
    // suspension.
    static thread_local std::string record;
    for (const Bytes& piece : pieces) {
      std::string_view rest = piece.view();
      if (!record.empty() || rest.size() < kTlsRecordBytes / 4) {
        if (record.capacity() == 0) record.reserve(kTlsRecordBytes);
        size_t n = std::min(kTlsRecordBytes - record.size(), rest.size());
        record.append(rest.substr(0, n));
        rest.remove_prefix(n);
        if (record.size() == kTlsRecordBytes) {
          auto done = encrypt(record);
          record.clear();
          RD_CO_TRYV(std::move(done));
          if (buffers_.out.size() >= kTlsFlushBytes) RD_CO_TRYV(co_await flush());
        }
      }
      while (rest.size() >= kTlsRecordBytes) {
        RD_CO_TRYV(encrypt(rest.substr(0, kTlsRecordBytes)));
        rest.remove_prefix(kTlsRecordBytes);
        if (buffers_.out.size() >= kTlsFlushBytes) RD_CO_TRYV(co_await flush());
      }
      record.append(rest);
    }
    auto done = record.empty() ? Result<void>{} : encrypt(record);
    record.clear();
    RD_CO_TRYV(std::move(done));
    co_return co_await flush();
  }

  Task<Result<void>> shutdown_write() override {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    RD_CO_TRYV(co_await flush());
    co_return co_await transport_->shutdown_write();
  }

  void abort() noexcept override { transport_->abort(); }
  void limit_unsent(int bytes) override { net::limit_unsent(*transport_, bytes); }

 private:
  Result<void> encrypt(std::string_view plain) {
    while (!plain.empty()) {
      ERR_clear_error();
      size_t written = 0;
      if (SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &written) != 1)
        return service_unavailable("tls: write: " + openssl_error());
      plain.remove_prefix(written);
    }
    return {};
  }

  Task<Result<size_t>> fill() {
    // By pieces: an idle connection holds no buffer.
    RD_CO_TRY(BytesList pieces, co_await read_pieces(*transport_, kSocketReadBytes));
    for (const Bytes& piece : pieces) buffers_.in.append(piece.view());
    co_return total_size(pieces);
  }

  // Sends what OpenSSL has written. Reads and writes may both need this: one sends, the other waits for it.
  Task<Result<void>> flush() {
    while (flushing_) co_await flushed_.wait();
    if (buffers_.out.empty()) co_return Result<void>{};
    flushing_ = true;
    struct Done {
      TlsStreamImpl& self;
      ~Done() {
        self.flushing_ = false;
        self.flushed_.notify();
      }
    } done{*this};
    size_t sent = 0;
    while (!buffers_.out.empty()) {
      // Two buffers take turns, so that a long answer does not cost fresh memory for every turn of it.
      sending_.clear();
      std::swap(buffers_.out, sending_);
      sent += sending_.size();
      BytesList pieces;
      pieces.push_back(Bytes::of_static(sending_));
      RD_CO_TRYV(co_await transport_->write(std::move(pieces)));
    }
    if (sent < kTlsRecordBytes && sending_.capacity() > kReadBufferBytes) {
      // A connection that has become quiet gives its memory back.
      sending_ = std::string();
      buffers_.out = std::string();
    }
    co_return Result<void>{};
  }

  StreamPtr transport_;
  SslCtxPtr context_;
  Buffers buffers_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  std::string sending_;
  bool flushing_ = false;
  Event flushed_;
};

// A client's question about the server, for as long as the handshake runs.
struct Verification {
  VerifyServer ask;
  bool asked = false;
  Result<void> answer{};
};

int on_certificate(X509_STORE_CTX* store, void*) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* verification = static_cast<Verification*>(SSL_get_app_data(ssl));
  if (verification == nullptr) return 0;
  verification->asked = true;
  verification->answer = verification->ask(X509_STORE_CTX_get0_cert(store), X509_STORE_CTX_get0_untrusted(store));
  // What the alert says; the reason proper is ours.
  X509_STORE_CTX_set_error(store, verification->answer ? X509_V_OK : X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
  return verification->answer ? 1 : 0;
}

}  // namespace

void verify_by_handshake(SSL_CTX* context) {
  // Each handshake turns it on that has a question (SSL_set_verify).
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_cert_verify_callback(context, on_certificate, nullptr);
}

Task<Result<TlsStream>> tls_handshake(StreamPtr transport, SslCtxPtr context, bool server, std::string server_name,
                                      VerifyServer verify, bool http1_only) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto stream = std::make_unique<TlsStreamImpl>(std::move(transport), std::move(context), executor);
  SSL* ssl = stream->ssl();
  if (server) {
    SSL_set_accept_state(ssl);
  } else {
    SSL_set_connect_state(ssl);
    if (http1_only) SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>("\x08http/1.1"), 9);
    boost::system::error_code no_address;
    boost::asio::ip::make_address(server_name, no_address);
    if (no_address && !server_name.empty()) SSL_set_tlsext_host_name(ssl, server_name.c_str());
  }
  Verification verification{std::move(verify)};
  if (verification.ask) {
    SSL_set_app_data(ssl, &verification);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  }
  auto shaken = co_await stream->handshake();
  SSL_set_app_data(ssl, nullptr);
  RD_CO_TRYV(std::move(verification.answer));
  RD_CO_TRYV(std::move(shaken));
  // Every way through a handshake shows a certificate, or resumes a session, which is never offered.
  if (verification.ask && !verification.asked)
    co_return service_unavailable("tls: failed to verify certificate: x509: the server sent no certificate");
  TlsStream out;
  out.peer.version = SSL_get_version(ssl);
  const unsigned char* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
  out.peer.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) out.peer.server_name = name;
  auto add = [&out](X509* certificate) {
    unsigned char* der = nullptr;
    int size = i2d_X509(certificate, &der);
    if (size > 0) out.peer.certificates_der.emplace_back(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
  };
  X509Ptr leaf(SSL_get1_peer_certificate(ssl), X509_free);
  if (leaf) add(leaf.get());
  // A server's chain leaves the client's leaf out, a client's chain begins with the server's.
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  for (int i = server ? 0 : 1; leaf && i < sk_X509_num(chain) && i < 10; ++i) add(sk_X509_value(chain, i));
  out.peer.resumed = SSL_session_reused(ssl) == 1;
  if (server && leaf && out.peer.resumed) {
    for (std::string& der : chain_of_ticket(ssl)) out.peer.certificates_der.push_back(std::move(der));
  }
  out.stream = std::move(stream);
  co_return out;
}

}  // namespace redoubt::net
