#include "apiserver/proxy/client_pool.h"

#include <boost/asio/query.hpp>

#include "apiserver/proxy/limits.h"

namespace redoubt::apiserver {

void ClientPool::sweep(Loop& loop) {
  auto now = std::chrono::steady_clock::now();
  if (now - loop.swept < kIdleClient / 4 && loop.clients.size() < kMaxClientsPerLoop) return;
  loop.swept = now;
  // One that is in use stays: its next request should find its connection.
  std::erase_if(loop.clients, [&](const auto& item) {
    return item.second.client.use_count() == 1 && now - item.second.used > kIdleClient;
  });
  while (loop.clients.size() >= kMaxClientsPerLoop) {
    auto oldest = loop.clients.begin();
    for (auto it = loop.clients.begin(); it != loop.clients.end(); ++it) {
      if (it->second.used < oldest->second.used) oldest = it;
    }
    loop.clients.erase(oldest);
  }
}

Result<std::shared_ptr<net::HttpClient>> ClientPool::get(Executor executor, const std::string& key, const Make& make) {
  Loop* loop = nullptr;
  {
    std::lock_guard lock(mutex_);
    auto& place = loops_[&boost::asio::query(executor, boost::asio::execution::context)];
    if (!place) place = std::make_unique<Loop>();
    loop = place.get();
  }
  sweep(*loop);
  auto it = loop->clients.find(key);
  if (it == loop->clients.end()) {
    RD_TRY(net::HttpClient::Options options, make());
    std::shared_ptr<net::HttpClient> client = net::HttpClient::make(executor, std::move(options));
    it = loop->clients.emplace(key, Entry{std::move(client), {}}).first;
  }
  it->second.used = std::chrono::steady_clock::now();
  return it->second.client;
}

void ClientPool::clear() {
  std::lock_guard lock(mutex_);
  loops_.clear();
}

}  // namespace redoubt::apiserver
