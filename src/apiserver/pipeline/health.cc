#include "apiserver/pipeline/pipeline.h"

namespace redoubt::apiserver::pipeline {

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

}  // namespace

Task<void> serve_health(Services& s, Context& c) {
  struct Check {
    std::string name;
    Result<void> outcome;
  };
  bool ready = c.request.path.starts_with("/readyz");
  std::vector<Check> checks;
  checks.push_back({"ping", {}});
  checks.push_back({"store", s.options.store->healthy()});
  for (const auto& [name, check] : s.options.health_checks) checks.push_back({name, check()});
  if (ready)
    checks.push_back({"poststarthook/bootstrap",
                      s.bootstrapped ? Result<void>{} : Result<void>(service_unavailable("not finished"))});
  std::string path = c.request.path;
  size_t slash = path.find('/', 1);
  std::string only = slash == std::string::npos ? "" : path.substr(slash + 1);
  std::string text;
  bool ok = true, found = only.empty();
  for (const Check& check : checks) {
    if (!only.empty() && only != check.name) continue;
    found = true;
    bool excluded = false;
    for (const auto& [key, value] : c.query) excluded = excluded || (key == "exclude" && value == check.name);
    bool good = check.outcome.has_value() || excluded;
    ok = ok && good;
    text += fmt::format("[{}]{} {}\n", good ? "+" : "-", check.name,
                        excluded ? "excluded: ok"
                        : good   ? "ok"
                                 : "failed: reason withheld");
  }
  if (!found) co_return co_await send_status(c, page_not_found().error());
  std::string name = path.substr(1, slash == std::string::npos ? slash : slash - 1);
  bool verbose = c.query.size() > 0 && !c.param("verbose").empty();
  for (const auto& [key, value] : c.query) verbose = verbose || key == "verbose";
  std::string body = ok ? (verbose ? text + name + " check passed\n" : "ok") : text + name + " check failed\n";
  co_await c.responder.send(ok ? 200 : 500,
                            {{"content-type", "text/plain; charset=utf-8"}, {"x-content-type-options", "nosniff"}},
                            one(std::move(body)));
}

}  // namespace redoubt::apiserver::pipeline
