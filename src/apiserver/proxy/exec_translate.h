// exec and attach for WebSocket clients: channels of one WebSocket (v5.channel.k8s.io, v4 and v4.base64) on the
// client's side, SPDY streams towards the kubelet. As upstream's StreamTranslatorHandler since 1.30.
#pragma once
#include <string>

#include "apiserver/proxy/kubelet_access.h"
#include "net/http.h"
#include "net/http_client.h"

namespace redoubt::apiserver {

struct ExecStreams {
  bool in = false;
  bool out = false;
  bool error = false;
  bool tty = false;
};

// True when the client offers a protocol that translate_exec() speaks.
bool can_translate_exec(const net::Request& request);

// Runs the whole session. An error means that nothing was answered yet; later ones reach the client as the status on
// its error channel.
Task<Result<void>> translate_exec(net::Request& request, net::Responder& responder, net::HttpClient& client,
                                  std::string target, ExecStreams streams, KubeletLocation where);

}  // namespace redoubt::apiserver
