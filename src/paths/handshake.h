// One connection, looked at closely: which TLS a peer speaks, which certificates it shows, what it answers.
//
// For the observer and its probes only: nothing is verified here, so that what is wrong can be seen; the caller judges
// the chain. No secret is ever sent but a certificate's proof, and that only where the caller gives one. Blocking;
// errors are texts in the result, since a refusal is what many callers hope for.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "paths/limits.h"

namespace redoubt::paths {

struct Peer {
  std::string host;  // address or name
  uint16_t port = 0;
  std::string to_string() const;
};

// What the connecting end offers.
struct Offer {
  bool tls = true;
  std::string server_name;                       // SNI; empty: none is sent
  std::string certificate_pem, private_key_pem;  // a client certificate, or none
  int max_version = 0;                           // TLS1_VERSION and so on of OpenSSL; 0: the newest
  std::string ciphers;                           // OpenSSL's list for TLS 1.2 and older; empty: the library's default
  std::chrono::milliseconds timeout = kDialTimeout;
};

struct Handshake {
  bool connected = false;  // TCP stood
  bool done = false;       // and TLS
  std::string version, cipher;
  std::vector<std::string> chain_der;  // leaf first
  bool asks_for_certificate = false;
  std::string error;  // why it is not done, "connection refused", "tlsv1 alert protocol version"
};
Handshake shake_hands(const Peer& peer, const Offer& offer);

struct Answer {
  Handshake handshake;  // with plain text: connected only
  int status = 0;       // of HTTP; 0: none came
  std::string body;     // its beginning
  std::string error;
};
// One HTTP/1.1 request over it. `headers` are sent as they are.
Answer ask(const Peer& peer, const Offer& offer, std::string_view method, std::string_view path,
           const std::vector<std::pair<std::string, std::string>>& headers = {});

}  // namespace redoubt::paths
