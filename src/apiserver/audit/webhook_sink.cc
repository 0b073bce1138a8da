#include <pthread.h>

#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "apiserver/audit/limits.h"
#include "apiserver/audit/queue.h"
#include "base/log.h"
#include "base/random.h"
#include "net/http_client.h"
#include "net/loop.h"

namespace redoubt::apiserver::audit {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Url {
  bool tls = true;
  net::Address address;
  std::string target = "/";
};

Result<Url> parse_url(std::string_view text) {
  Url out;
  auto wrong = [&](std::string_view why) {
    return bad_request(fmt::format("the audit webhook's server \"{}\": {}", text, why));
  };
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    out.tls = false;
  } else {
    return wrong("must start with https://");
  }
  if (size_t slash = rest.find('/'); slash != std::string_view::npos) {
    out.target = rest.substr(slash);
    rest = rest.substr(0, slash);
  }
  std::string host(rest);
  size_t bracket = host.rfind(']');
  size_t colon = host.rfind(':');
  if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket)) host += out.tls ? ":443" : ":80";
  auto address = net::parse_address(host);
  if (!address) return wrong(address.error().message());
  out.address = std::move(*address);
  // Events name people and objects: in the clear they stay on this machine.
  if (!out.tls && out.address.host != "127.0.0.1" && out.address.host != "::1" && out.address.host != "localhost")
    return wrong("plain http is for loopback addresses only; use https");
  return out;
}

// Upstream's token bucket, for batches.
class Throttle {
 public:
  explicit Throttle(const BatchOptions& options) : options_(options), tokens_(options.throttle_burst) {}
  // How long to wait until one may go.
  milliseconds take() {
    if (!options_.throttle || options_.mode != Mode::Batch) return milliseconds(0);
    auto now = steady_clock::now();
    tokens_ = std::min<double>(options_.throttle_burst,
                               tokens_ + std::chrono::duration<double>(now - last_).count() * options_.throttle_qps);
    last_ = now;
    tokens_ -= 1;
    return tokens_ >= 0 ? milliseconds(0) : milliseconds(static_cast<int64_t>(-tokens_ / options_.throttle_qps * 1000));
  }

 private:
  BatchOptions options_;
  double tokens_;
  steady_clock::time_point last_ = steady_clock::now();
};

class WebhookSink : public QueuedSink {
 public:
  WebhookSink(WebhookOptions options, Url url, std::shared_ptr<net::TlsClientContext> tls)
      : QueuedSink(options.batch, options.truncate, Format::Json),
        options_(std::move(options)),
        url_(std::move(url)),
        loop_(1, "audit-webhook") {
    net::HttpClient::Options http;
    http.host = url_.address.to_string();
    http.tls = std::move(tls);
    http.max_idle_connections = kMaxWebhookBatchesInFlight;
    http.dial = [dial = options_.dial, address = url_.address] { return dial(address); };
    on_loop([&] {
      scope_ = std::make_unique<Scope>(loop_.executor(0), "audit webhook");
      http_ = net::HttpClient::make(loop_.executor(0), std::move(http));
    });
    collector_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "audit-webhook");
      run();
    });
  }
  ~WebhookSink() override {
    queue_.close();
    {
      std::lock_guard lock(mutex_);
      give_up_ = steady_clock::now() + kFlushOnStop;
    }
    changed_.notify_all();
    collector_.join();
    {
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, give_up_, [this] { return in_flight_ == 0; });
    }
    std::promise<void> joined;
    boost::asio::post(loop_.executor(0), [&] {
      scope_->cancel();
      http_->drop_idle();
      joined.set_value();
    });
    joined.get_future().wait();
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::seconds(2), [this] { return in_flight_ == 0; });
    }
    on_loop([&] { http_.reset(); });
    loop_.stop();
  }

 private:
  template <class F>
  void on_loop(F f) {
    std::promise<void> done;
    boost::asio::post(loop_.executor(0), [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }

  bool stopping() {
    std::lock_guard lock(mutex_);
    return give_up_ != steady_clock::time_point::max();
  }

  void run() {
    Throttle throttle(batch_);
    bool batching = batch_.mode == Mode::Batch;
    while (true) {
      std::vector<Queued> batch = queue_.take(batching ? batch_.max_size : 400, options_.truncate.max_batch_size,
                                              batching ? batch_.max_wait : milliseconds(0));
      if (batch.empty()) return;
      std::unique_lock lock(mutex_);
      auto pause = throttle.take();
      if (pause.count() > 0)
        changed_.wait_for(lock, pause, [this] { return give_up_ != steady_clock::time_point::max(); });
      // The queue fills meanwhile, and drops: a receiver that hangs costs no more memory than that.
      while (in_flight_ >= kMaxWebhookBatchesInFlight && steady_clock::now() < give_up_) {
        changed_.wait_for(lock, std::chrono::seconds(1));
      }
      if (in_flight_ >= kMaxWebhookBatchesInFlight) {
        lock.unlock();
        finish(batch, false, "stopping");
        continue;
      }
      ++in_flight_;
      lock.unlock();
      boost::asio::post(loop_.executor(0), [this, shared = std::make_shared<std::vector<Queued>>(std::move(batch))] {
        scope_->spawn(send(shared));
      });
    }
  }

  void finish(std::vector<Queued>& batch, bool ok, std::string_view why) {
    if (!ok) {
      count_lost("webhook", batch.size());
      log_error("audit: the webhook did not take events; they are lost",
                {{"server", options_.target.server}, {"events", batch.size()}, {"error", why}});
    }
    for (Queued& item : batch) {
      if (item.done) item.done(ok);
    }
  }

  // One try; the error says what the receiver answered.
  Task<Result<void>> try_once(std::shared_ptr<std::vector<Queued>> batch) {
    constexpr std::string_view kItemHead = R"({"kind":"Event","apiVersion":"audit.k8s.io/v1",)";
    net::ClientRequest request;
    request.method = "POST";
    request.target = url_.target;
    request.headers = {{"content-type", "application/json"}, {"accept", "application/json"}, {"user-agent", "redoubt"}};
    if (!options_.target.bearer_token.empty())
      request.headers.add("authorization", "Bearer " + options_.target.bearer_token);
    request.header_timeout = kWebhookTimeout;
    request.body.push_back(
        Bytes::of_static(R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[)"));
    bool first = true;
    for (const Queued& item : *batch) {
      // Items of a list carry no kind of their own, and no newline.
      request.body.push_back(Bytes::of_static(first ? "{" : ",{"));
      request.body.push_back(item.line.slice(kItemHead.size(), item.line.size() - kItemHead.size() - 1));
      first = false;
    }
    request.body.push_back(Bytes::of_static("]}"));
    RD_CO_TRY(net::ClientResponse response, co_await http_->send(std::move(request)));
    if (response.body) (void)co_await net::read_body(*response.body, 64 * 1024);
    if (response.status / 100 != 2) co_return service_unavailable(fmt::format("it answered {}", response.status));
    co_return Result<void>{};
  }

  Task<void> send(std::shared_ptr<std::vector<Queued>> batch) {
    // Whatever ends this, the batch is accounted for.
    struct Account {
      WebhookSink& sink;
      std::shared_ptr<std::vector<Queued>> batch;
      bool ok = false;
      std::string why = "stopping";
      ~Account() {
        sink.finish(*batch, ok, why);
        {
          std::lock_guard lock(sink.mutex_);
          --sink.in_flight_;
        }
        sink.changed_.notify_all();
      }
    } account{*this, batch};
    double backoff_ms = static_cast<double>(options_.initial_backoff.count());
    for (int attempt = 1; attempt <= kWebhookTries; ++attempt) {
      auto sent = co_await try_once(batch);
      if (sent) {
        account.ok = true;
        co_return;
      }
      account.why = sent.error().message();
      if (attempt == kWebhookTries || stopping()) co_return;
      double jitter = 1 + 0.2 * static_cast<double>(random_below(1000)) / 1000;
      co_await sleep_for(milliseconds(static_cast<int64_t>(backoff_ms * jitter)));
      backoff_ms *= 1.5;
    }
  }

  WebhookOptions options_;
  Url url_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t in_flight_ = 0;
  steady_clock::time_point give_up_ = steady_clock::time_point::max();
  net::LoopPool loop_;            // after what its tasks use
  std::unique_ptr<Scope> scope_;  // the loop's
  std::unique_ptr<net::HttpClient> http_;
  std::thread collector_;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_webhook_sink(WebhookOptions options) {
  RD_TRY(Url url, parse_url(options.target.server));
  std::shared_ptr<net::TlsClientContext> tls;
  if (url.tls) {
    net::TlsClientContext::Options context;
    context.ca_pem = options.target.ca_pem;
    context.certificate_pem = options.target.certificate_pem;
    context.private_key_pem = options.target.private_key_pem;
    context.server_name = options.target.tls_server_name;
    RD_TRY(tls, net::TlsClientContext::make(std::move(context)));
  }
  return std::make_unique<WebhookSink>(std::move(options), std::move(url), std::move(tls));
}

}  // namespace redoubt::apiserver::audit
