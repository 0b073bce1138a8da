#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cctype>
#include <mutex>

#include "base/encoding.h"
#include "net/tls_context.h"
#include "net/tls_unverified.h"

namespace redoubt::net {

std::string openssl_error() {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("error {:x}", code);
}

Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  std::vector<X509Ptr> out;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    out.emplace_back(certificate, X509_free);
  ERR_clear_error();
  if (out.empty()) return bad_request("no certificate in the PEM data");
  return out;
}

Result<void> use_identity(SSL_CTX* context, std::string_view certificate_pem, std::string_view private_key_pem) {
  RD_TRY(auto chain, parse_certificates(certificate_pem));
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())), BIO_free);
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr),
                                                          EVP_PKEY_free);
  ERR_clear_error();
  if (!key) return bad_request("the private key is no PEM key");
  if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
    ERR_clear_error();
    return bad_request("the private key does not belong to the certificate");
  }
  STACK_OF(X509)* rest = sk_X509_new_null();
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(rest, chain[i].get());
  int ok = SSL_CTX_use_cert_and_key(context, chain[0].get(), key.get(), rest, 1);
  sk_X509_free(rest);
  if (ok != 1) return bad_request("the certificate can't be used: " + openssl_error());
  return {};
}

namespace {

std::string alpn_wire(const std::vector<std::string>& protocols) {
  std::string out;
  for (const std::string& protocol : protocols) {
    out += static_cast<char>(protocol.size());
    out += protocol;
  }
  return out;
}

void harden(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  // TLS 1.2 with forward secrecy and AEAD only.
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
}

class ServerContext : public TlsServerContext, public std::enable_shared_from_this<ServerContext> {
 public:
  static Result<std::shared_ptr<ServerContext>> make(Options options) {
    RD_TRYV(check_policy(options.policy));
    auto out = std::make_shared<ServerContext>();
    out->alpn_ = alpn_wire(options.alpn);
    out->options_ = std::move(options);
    RD_TRY(out->current_, out->build(out->options_));
    return out;
  }

  Result<void> replace_certificate(std::string certificate_pem, std::string private_key_pem) override {
    return replace([&](Options& options) {
      options.certificate_pem = std::move(certificate_pem);
      options.private_key_pem = std::move(private_key_pem);
    });
  }
  Result<void> replace_client_ca_hint(std::string pem) override {
    return replace([&](Options& options) { options.client_ca_hint_pem = std::move(pem); });
  }
  Result<void> replace_sni(std::vector<Options::Sni> sni) override {
    return replace([&](Options& options) { options.sni = std::move(sni); });
  }

  SslCtxPtr current() const {
    std::lock_guard lock(mutex_);
    return current_;
  }

 private:
  // One of a server's certificates by name.
  struct Named {
    std::vector<std::string> names;
    SslCtxPtr context;
  };

  template <class Change>
  Result<void> replace(Change change) {
    std::lock_guard one(replacing_);
    Options options = options_;
    change(options);
    RD_TRY(SslCtxPtr made, build(options));
    options_ = std::move(options);
    std::lock_guard lock(mutex_);
    current_ = std::move(made);
    return {};
  }

  Result<SslCtxPtr> build_one(const Options& options, std::string_view certificate_pem,
                              std::string_view private_key_pem) {
    SslCtxPtr context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    harden(context.get());
    apply_policy(context.get(), options.policy);
    RD_TRYV(use_identity(context.get(), certificate_pem, private_key_pem));
    if (!options.required_client_ca_pem.empty()) {
      RD_TRY(auto roots, parse_certificates(options.required_client_ca_pem));
      X509_STORE* store = SSL_CTX_get_cert_store(context.get());
      for (const X509Ptr& root : roots) {
        X509_STORE_add_cert(store, root.get());
        SSL_CTX_add_client_CA(context.get(), root.get());
      }
      SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    } else if (options.request_client_certificate) {
      // The chain is taken as it comes; the authenticator verifies it against its own roots and answers 401 with a
      // reason.
      SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
      if (!options.client_ca_hint_pem.empty()) {
        RD_TRY(auto hints, parse_certificates(options.client_ca_hint_pem));
        for (const X509Ptr& hint : hints) SSL_CTX_add_client_CA(context.get(), hint.get());
      }
    }
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    if (options.required_client_ca_pem.empty()) {
      tickets_->use_in(context.get());
    } else {
      // A resumed session is not verified again, and here nobody does so later.
      SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
      SSL_CTX_set_num_tickets(context.get(), 0);
    }
    SSL_CTX_set_alpn_select_cb(
        context.get(),
        [](SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned in_length,
           void* self) {
          const std::string& ours = static_cast<ServerContext*>(self)->alpn_;
          unsigned char* chosen = nullptr;
          if (SSL_select_next_proto(&chosen, out_length, reinterpret_cast<const unsigned char*>(ours.data()),
                                    static_cast<unsigned>(ours.size()), in, in_length) != OPENSSL_NPN_NEGOTIATED) {
            return SSL_TLSEXT_ERR_NOACK;
          }
          *out = chosen;
          return SSL_TLSEXT_ERR_OK;
        },
        this);
    return context;
  }

  Result<SslCtxPtr> build(const Options& options) {
    RD_TRY(SslCtxPtr context, build_one(options, options.certificate_pem, options.private_key_pem));
    if (options.sni.empty()) return context;
    // They live as long as the context that chooses among them.
    auto* named = new std::vector<Named>;
    SSL_CTX_set_ex_data(context.get(), named_index(), named);
    for (const Options::Sni& one : options.sni) {
      Named entry{one.names, {}};
      if (entry.names.empty()) {
        RD_TRY(auto chain, parse_certificates(one.certificate_pem));
        entry.names = dns_names(chain[0].get());
      }
      RD_TRY(entry.context, build_one(options, one.certificate_pem, one.private_key_pem));
      named->push_back(std::move(entry));
    }
    int (*choose)(SSL*, int*, void*) = [](SSL* ssl, int*, void*) -> int {
      const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
      auto* all = static_cast<std::vector<Named>*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), named_index()));
      if (asked == nullptr || all == nullptr) return SSL_TLSEXT_ERR_NOACK;
      std::string name(asked);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      size_t dot = name.find('.');
      std::string wild = dot == std::string::npos ? std::string() : "*" + name.substr(dot);
      // The name itself goes before a wildcard.
      for (const std::string& wanted : {name, wild}) {
        for (const Named& one : *all) {
          if (wanted.empty() || std::find(one.names.begin(), one.names.end(), wanted) == one.names.end()) continue;
          SSL_set_SSL_CTX(ssl, one.context.get());
          return SSL_TLSEXT_ERR_OK;
        }
      }
      return SSL_TLSEXT_ERR_NOACK;
    };
    SSL_CTX_set_tlsext_servername_callback(context.get(), choose);
    return context;
  }

  static int named_index() {
    static int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr,
                                                [](void*, void* pointer, CRYPTO_EX_DATA*, int, long, void*) {
                                                  delete static_cast<std::vector<Named>*>(pointer);
                                                });
    return index;
  }

  static std::vector<std::string> dns_names(X509* certificate) {
    std::vector<std::string> out;
    auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
      if (name->type == GEN_DNS)
        out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    }
    GENERAL_NAMES_free(names);
    return out;
  }

  Options options_;  // guarded by replacing_
  std::string alpn_;
  std::shared_ptr<TicketKeys> tickets_ = TicketKeys::make();
  std::mutex replacing_;  // one replacement at a time
  mutable std::mutex mutex_;
  SslCtxPtr current_;
};

class ClientContext : public TlsClientContext {
 public:
  static Result<std::shared_ptr<ClientContext>> make(Options options) {
    auto out = std::make_shared<ClientContext>();
    out->identity_ = {std::move(options.ca_pem), std::move(options.certificate_pem),
                      std::move(options.private_key_pem)};
    out->options = std::move(options);
    RD_TRY(out->current_, out->build(out->identity_));
    return out;
  }

  Result<void> replace_certificate(std::string certificate_pem, std::string private_key_pem) override {
    return replace([&](Identity& identity) {
      identity.certificate_pem = std::move(certificate_pem);
      identity.private_key_pem = std::move(private_key_pem);
    });
  }
  Result<void> replace_roots(std::string ca_pem) override {
    if (!options.pinned_ca_hashes.empty() || ca_pem.empty())
      return bad_request("roots can be replaced by roots only, where no hash is pinned");
    return replace([&](Identity& identity) { identity.ca_pem = std::move(ca_pem); });
  }

  SslCtxPtr current() const {
    std::lock_guard lock(mutex_);
    return current_;
  }

  std::string pinned_ca() const override {
    std::lock_guard lock(mutex_);
    return pinned_ca_;
  }
  void remember_pinned(std::string pem) {
    std::lock_guard lock(mutex_);
    pinned_ca_ = std::move(pem);
  }

  Options options;  // what never changes: roots, certificate and key are in identity_
  bool unverified = false;

 private:
  struct Identity {
    std::string ca_pem, certificate_pem, private_key_pem;
  };

  template <class Change>
  Result<void> replace(Change change) {
    std::lock_guard one(replacing_);
    Identity identity = identity_;
    change(identity);
    RD_TRY(SslCtxPtr made, build(identity));
    identity_ = std::move(identity);
    std::lock_guard lock(mutex_);
    current_ = std::move(made);
    return {};
  }

  Result<SslCtxPtr> build(const Identity& identity) {
    SslCtxPtr context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    harden(context.get());
    if (!identity.certificate_pem.empty())
      RD_TRYV(use_identity(context.get(), identity.certificate_pem, identity.private_key_pem));
    if (!identity.ca_pem.empty()) {
      RD_TRY(auto roots, parse_certificates(identity.ca_pem));
      X509_STORE* store = SSL_CTX_get_cert_store(context.get());
      for (const X509Ptr& root : roots) X509_STORE_add_cert(store, root.get());
    } else if (options.pinned_ca_hashes.empty()) {
      SSL_CTX_set_default_verify_paths(context.get());
    }
    std::string protocols = alpn_wire(options.alpn);
    SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned>(protocols.size()));
    // By verify_server(), whose errors say what is wrong; in the handshake, so that a stranger learns nothing of us.
    verify_by_handshake(context.get());
    return context;
  }

  Identity identity_;     // guarded by replacing_
  std::mutex replacing_;  // one replacement at a time
  mutable std::mutex mutex_;
  SslCtxPtr current_;
  std::string pinned_ca_;
};

std::string common_name(X509* certificate) {
  char buffer[512];  // "system:node:" and the 253 characters that a node's name may have
  int n = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, buffer, sizeof buffer);
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
}

std::string spki_hash(X509* certificate) {
  unsigned char* der = nullptr;
  int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return {};
  unsigned char digest[32];
  EVP_Digest(der, static_cast<size_t>(size), digest, nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return "sha256:" + hex_encode({reinterpret_cast<char*>(digest), sizeof digest});
}

std::string subject_alternative_names(X509* certificate) {
  std::string out;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names) && i < 20; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (!out.empty()) out += ", ";
    if (name->type == GEN_DNS) {
      out += std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD && ASN1_STRING_length(name->d.iPAddress) == 4) {
      const unsigned char* b = ASN1_STRING_get0_data(name->d.iPAddress);
      out += fmt::format("{}.{}.{}.{}", b[0], b[1], b[2], b[3]);
    } else {
      out += "(other)";
    }
  }
  GENERAL_NAMES_free(names);
  return out;
}

Error x509_error(std::string what) {
  return service_unavailable("tls: failed to verify certificate: x509: " + std::move(what));
}

Result<void> verify_server(X509* leaf, STACK_OF(X509) * chain, SSL_CTX* context,
                           const TlsClientContext::Options& options, const std::string& host, std::string& pinned_pem) {
  if (leaf == nullptr) return x509_error("the server sent no certificate");
  std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> pinned(nullptr, X509_STORE_free);
  X509_STORE* roots = SSL_CTX_get_cert_store(context);
  if (!options.pinned_ca_hashes.empty()) {
    pinned.reset(X509_STORE_new());
    bool found = false;
    for (int i = 0; i < sk_X509_num(chain); ++i) {
      X509* candidate = sk_X509_value(chain, i);
      std::string hash = spki_hash(candidate);
      for (const std::string& wanted : options.pinned_ca_hashes) {
        if (hash == wanted && X509_check_ca(candidate) > 0) {
          X509_STORE_add_cert(pinned.get(), candidate);
          found = true;
          std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
          PEM_write_bio_X509(bio.get(), candidate);
          char* data = nullptr;
          long size = BIO_get_mem_data(bio.get(), &data);
          pinned_pem.assign(data, static_cast<size_t>(size));
        }
      }
    }
    if (!found)
      return x509_error(
          "no authority in the server's chain has the pinned hash: this is not the server that the token was made on");
    roots = pinned.get();
  }
  std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> verifier(X509_STORE_CTX_new(), X509_STORE_CTX_free);
  X509_STORE_CTX_init(verifier.get(), roots, leaf, chain);
  X509_STORE_CTX_set_default(verifier.get(), "ssl_server");
  // An authority that is trusted is so whether or not another has signed it, as in Go.
  X509_STORE_CTX_set_flags(verifier.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (X509_verify_cert(verifier.get()) != 1) {
    int code = X509_STORE_CTX_get_error(verifier.get());
    ERR_clear_error();
    switch (code) {
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
      case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return x509_error("certificate signed by unknown authority");
      case X509_V_ERR_CERT_HAS_EXPIRED:
        return x509_error("certificate has expired or is not yet valid");
      case X509_V_ERR_CERT_NOT_YET_VALID:
        return x509_error("certificate has expired or is not yet valid");
      case X509_V_ERR_INVALID_PURPOSE:
        return x509_error("certificate specifies an incompatible key usage");
      default:
        return x509_error(X509_verify_cert_error_string(code));
    }
  }
  if (!options.required_common_name.empty()) {
    std::string name = common_name(leaf);
    if (name != options.required_common_name) {
      return x509_error(fmt::format("certificate is for \"{}\", not for \"{}\"", name, options.required_common_name));
    }
    if (options.server_name.empty()) return {};
  }
  std::string wanted = options.server_name.empty() ? host : options.server_name;
  bool matches =
      X509_check_ip_asc(leaf, wanted.c_str(), 0) == 1 ||
      X509_check_host(leaf, wanted.data(), wanted.size(),
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
  if (!matches)
    return x509_error(fmt::format("certificate is valid for {}, not {}", subject_alternative_names(leaf), wanted));
  return {};
}

}  // namespace

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::make(Options options) {
  return ServerContext::make(std::move(options));
}
Result<std::shared_ptr<TlsClientContext>> TlsClientContext::make(Options options) {
  return ClientContext::make(std::move(options));
}
Result<std::shared_ptr<TlsClientContext>> make_unverified_tls(TlsClientContext::Options options) {
  RD_TRY(auto out, ClientContext::make(std::move(options)));
  out->unverified = true;
  return out;
}

Task<Result<TlsStream>> tls_accept(StreamPtr transport, std::shared_ptr<TlsServerContext> context) {
  SslCtxPtr current = static_cast<ServerContext&>(*context).current();
  co_return co_await tls_handshake(std::move(transport), current, true, {});
}

Task<Result<TlsStream>> tls_connect(StreamPtr transport, std::shared_ptr<TlsClientContext> context, std::string host,
                                    bool http1_only) {
  auto& client = static_cast<ClientContext&>(*context);
  SslCtxPtr current = client.current();
  if (client.unverified)
    co_return co_await tls_handshake(std::move(transport), current, false,
                                     client.options.server_name.empty() ? host : client.options.server_name, {},
                                     http1_only);
  auto verify = [context, current, options = client.options, host](X509* leaf, STACK_OF(X509) * chain) {
    std::string pinned_pem;
    auto ok = verify_server(leaf, chain, current.get(), options, host, pinned_pem);
    if (ok && !pinned_pem.empty()) static_cast<ClientContext&>(*context).remember_pinned(std::move(pinned_pem));
    return ok;
  };
  std::string sni = client.options.server_name.empty() ? host : client.options.server_name;
  co_return co_await tls_handshake(std::move(transport), current, false, sni, verify, http1_only);
}

}  // namespace redoubt::net
