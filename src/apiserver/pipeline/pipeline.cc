#include "apiserver/pipeline/pipeline.h"

#include "apiserver/aggregation/aggregator.h"
#include "apiserver/pipeline/audit.h"
#include "base/metrics.h"

namespace redoubt::apiserver::pipeline {

namespace {

// In this order, always. The first error is the answer.
constexpr Verdict (*kSteps[])(Services&, Context&) = {
    parse,           //
    request_info,    //
    negotiate,       //
    authenticate,    //
    audit_received,  //
    impersonate,     //
    fairness,        //
    authorize,
};

void count_request(const Context& c, std::chrono::steady_clock::time_point began) {
  // One series a verb and resource; what is no resource counts together.
  static std::mutex mutex;
  static std::map<std::pair<std::string, std::string>, std::pair<Counter*, Histogram*>> known;
  std::pair<std::string, std::string> key{c.info.verb,
                                          c.resource != nullptr ? std::string(c.resource->name) : std::string()};
  std::pair<Counter*, Histogram*> metrics;
  {
    std::lock_guard lock(mutex);
    auto [it, added] = known.try_emplace(key);
    if (added) {
      MetricLabels labels{{"verb", key.first}, {"resource", key.second}};
      it->second = {
          &counter("apiserver_request_total", "Requests answered, by verb and resource.", labels),
          &histogram("apiserver_request_duration_seconds", "How long requests took, watches and connections left out.",
                     {0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30}, labels)};
    }
    metrics = it->second;
  }
  metrics.first->add();
  if (!is_long_running(c.info))
    metrics.second->observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

// The path that a request came by (docs/paths.md), by who asks. A pod's by the Service's address looks the same as one
// by the server's own.
std::string_view path_of(const Context& c) {
  std::string_view user = c.user.name;
  if (!c.user.node_name().empty()) return "kubelet-apiserver";
  if (user.starts_with("system:serviceaccount:kube-system:") && c.request.connection &&
      !c.request.connection->peer_certificates.empty())
    return "component-apiserver";  // controllers prove their accounts by certificates
  if (user.starts_with("system:serviceaccount:")) return "pod-apiserver";
  if (user.starts_with("system:kube-")) return "component-apiserver";
  return "client-apiserver";
}

struct PathMetrics {
  explicit PathMetrics(const std::string& path)
      : served(counter("redoubt_path_requests_total", kRequests, {{"path", path}, {"result", "served"}})),
        unauthenticated(
            counter("redoubt_path_requests_total", kRequests, {{"path", path}, {"result", "unauthenticated"}})),
        refused(counter("redoubt_path_requests_total", kRequests, {{"path", path}, {"result", "refused"}})),
        open(gauge("redoubt_path_requests_inflight", "Requests under way, watches included, by path.",
                   {{"path", path}})),
        seconds(histogram("redoubt_path_request_duration_seconds",
                          "How long requests took, watches and connections left out, by path.",
                          {0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30}, {{"path", path}})) {}
  static constexpr const char* kRequests = "Requests by path, and what became of them at the door.";
  Counter &served, &unauthenticated, &refused;
  Gauge& open;
  Histogram& seconds;
};

PathMetrics& path_metrics(std::string_view path) {
  static PathMetrics client("client-apiserver"), node("kubelet-apiserver"), pod("pod-apiserver"),
      component("component-apiserver");
  return path.starts_with("client")    ? client
         : path.starts_with("kubelet") ? node
         : path.starts_with("pod")     ? pod
                                       : component;
}

// Counts a request as open while it lives.
class OpenRequest {
 public:
  OpenRequest(PathMetrics& metrics, const RequestInfo& info, std::chrono::steady_clock::time_point began)
      : metrics_(metrics), info_(info), began_(began) {
    metrics_.open.add(1);
    metrics_.served.add();
  }
  ~OpenRequest() {
    metrics_.open.add(-1);
    if (!is_long_running(info_))
      metrics_.seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count());
  }
  OpenRequest(const OpenRequest&) = delete;

 private:
  PathMetrics& metrics_;
  const RequestInfo& info_;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace

bool is_long_running(const RequestInfo& info) {
  return info.verb == "watch" || info.subresource == "log" || info.subresource == "exec" ||
         info.subresource == "attach" || info.subresource == "portforward" || info.subresource == "proxy" ||
         info.subresource == "tunnel";
}

namespace {

// One request's way: its state, and how far it has come.
class Course {
 public:
  Course(Services& services, net::Request request, net::Responder& responder)
      : services_(services),
        request_(std::move(request)),
        trail_(services.options.auditor != nullptr
                   ? std::optional<AuditTrail>(std::in_place, *services.options.auditor, responder)
                   : std::optional<AuditTrail>()),
        c_{request_, trail_ ? static_cast<net::Responder&>(*trail_) : responder} {
    if (trail_) trail_->attach(c_);
  }
  Course(const Course&) = delete;
  Course& operator=(const Course&) = delete;

  // As far as it goes without waiting; true when that was the whole way. What is thrown is kept for go_on().
  bool begin(net::ImmediateResponder* now) {
    try {
      advance();
      return now != nullptr && answer_now(*now);
    } catch (...) {
      thrown_ = std::current_exception();
      return false;
    }
  }

  // The rest of the way.
  static Task<void> go_on(std::unique_ptr<Course> self) {
    std::exception_ptr thrown;
    try {
      co_await self->finish();
    } catch (...) {
      if (!self->trail_) throw;
      thrown = std::current_exception();
    }
    if (!self->trail_) co_return;
    // The event is written even when the client has gone.
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    co_await self->trail_->finish(thrown);
    if (thrown) std::rethrow_exception(thrown);
  }

 private:
  // The steps up to the first that has to wait, or that refuses.
  void advance() {
    while (next_ < std::size(kSteps)) {
      verdict_ = kSteps[next_++](services_, c_);
      if (!verdict_.is_here() || !verdict_.value()) return;
    }
  }

  // An object read from memory, answered on the spot. False: nothing was done.
  bool answer_now(net::ImmediateResponder& now) {
    if (trail_ || next_ < std::size(kSteps) || !verdict_.is_here() || !verdict_.value()) return false;
    if (c_.info.verb != "get" || !c_.info.resource_request || c_.request.method != "GET") return false;
    auto answer = read_now(services_, c_);
    if (!answer) return false;
    OpenRequest open(path_metrics(path_of(c_)), c_.info, began_);
    now.send_now(200, std::move(answer->headers), std::move(answer->body));
    count_request(c_, began_);
    return true;
  }

  Task<void> finish() {
    if (thrown_) std::rethrow_exception(thrown_);
    while (true) {
      if (!verdict_.is_here()) verdict_ = Verdict(co_await verdict_.task());
      if (!verdict_.value()) {
        PathMetrics& metrics = path_metrics(path_of(c_));
        (verdict_.value().error().code() == 401 ? metrics.unauthenticated : metrics.refused).add();
        co_return co_await send_status(c_, verdict_.value().error());
      }
      if (next_ == std::size(kSteps)) break;
      advance();
    }
    OpenRequest open(path_metrics(path_of(c_)), c_.info, began_);
    auto elsewhere = services_.aggregator ? services_.aggregator->server_of(request_.path) : nullptr;
    if (elsewhere) {
      co_await services_.aggregator->pass_on(c_, std::move(elsewhere));
    } else if (c_.info.resource_request) {
      co_await serve_resource(services_, c_);
    } else {
      co_await serve_path(services_, c_);
    }
    count_request(c_, began_);
  }

  Services& services_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  net::Request request_;
  std::optional<AuditTrail> trail_;
  Context c_;
  size_t next_ = 0;
  Verdict verdict_;
  std::exception_ptr thrown_;
};

}  // namespace

std::optional<Task<void>> start(Services& services, net::Request request, net::Responder& responder,
                                net::ImmediateResponder* now) {
  auto course = std::make_unique<Course>(services, std::move(request), responder);
  if (course->begin(now)) return {};
  return Course::go_on(std::move(course));
}

}  // namespace redoubt::apiserver::pipeline
