// A server of net/ with nothing behind it, to measure net/ alone: GET /obj (2 KB), GET /list (22 MB of 4.4 KB pieces).
//   bench_net_server CERT KEY [LOOPS]     prints its port; compare with nghttpd and h2load on the same bytes.
#include <cstdio>
#include <cstdlib>

#include "net/http_server.h"
#include "net/loop.h"

using namespace redoubt;
using namespace redoubt::net;

namespace {

std::string read_all(const char* path) {
  std::string out;
  if (FILE* file = std::fopen(path, "rb")) {
    char buffer[4096];
    while (size_t n = std::fread(buffer, 1, sizeof buffer, file)) out.append(buffer, n);
    std::fclose(file);
  }
  return out;
}

const Bytes kObject = Bytes::take(std::string(2048, 'x'));
const BytesList kList = BytesList(5000, Bytes::take(std::string(4400, 'y')));

Task<void> handle(Request request, Responder& responder) {
  if (request.path == "/list") {
    co_await responder.send(200, {{"content-type", "application/json"}}, kList);
  } else {
    BytesList body;
    body.push_back(kObject);
    co_await responder.send(200, {{"content-type", "application/json"}}, std::move(body));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  auto tls = TlsServerContext::make({read_all(argv[1]), read_all(argv[2])});
  if (!tls) {
    std::fprintf(stderr, "%s\n", tls.error().message().c_str());
    return 1;
  }
  LoopPool loops(argc > 3 ? static_cast<size_t>(std::atoi(argv[3])) : 1);
  HttpServerOptions options;
  options.address = "127.0.0.1";
  options.tls = *tls;
  options.handler = handle;
  auto server = HttpServer::start(loops, std::move(options));
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message().c_str());
    return 1;
  }
  std::printf("%d\n", (*server)->port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
