#include "controllers/endpoints/slice_writer.h"

#include <cstdlib>

namespace redoubt::controllers {

namespace {
// An informer that lags longer lost its server: its next list is up to date anyway.
constexpr std::chrono::seconds kLongestLag{30};

std::string path_of(const discovery::EndpointSlice& slice) {
  return slice.metadata.namespace_ + "/" + slice.metadata.name;
}
}  // namespace

bool SliceWriter::seen(const std::string& key) {
  auto it = pending_.find(key);
  if (it == pending_.end()) return true;
  auto present = std::chrono::steady_clock::now();
  std::erase_if(it->second, [&](const auto& entry) {
    const auto& [path, expected] = entry;
    if (present - expected.since > kLongestLag) return true;
    auto slice = informers_.endpoint_slices.get(path);
    if (expected.revision == 0) return !slice || slice->metadata.uid != expected.uid || is_deleting(slice->metadata);
    return slice && std::atoll(slice->metadata.resourceVersion.c_str()) >= expected.revision;
  });
  if (!it->second.empty()) return false;
  pending_.erase(it);
  return true;
}

Task<Result<void>> SliceWriter::write(std::string key, SlicePlan plan) {
  auto expect = [&](const discovery::EndpointSlice& slice, int64_t revision) {
    pending_[key][path_of(slice)] = {revision, slice.metadata.uid, std::chrono::steady_clock::now()};
  };
  // New before old: for a moment there is too much rather than too little.
  for (discovery::EndpointSlice& slice : plan.create) {
    RD_CO_TRY(discovery::EndpointSlice made, co_await api_.create(std::move(slice)));
    expect(made, std::atoll(made.metadata.resourceVersion.c_str()));
  }
  for (discovery::EndpointSlice& slice : plan.update) {
    RD_CO_TRY(discovery::EndpointSlice written, co_await api_.update(std::move(slice)));
    expect(written, std::atoll(written.metadata.resourceVersion.c_str()));
  }
  for (const SlicePtr& slice : plan.remove) {
    auto gone = co_await api_.remove<discovery::EndpointSlice>(slice->metadata.namespace_, slice->metadata.name,
                                                               {.uid = slice->metadata.uid});
    if (!gone && !gone.error().is("NotFound") && !gone.error().is("Conflict")) co_return Error(gone.error());
    expect(*slice, 0);
  }
  co_return Result<void>{};
}

}  // namespace redoubt::controllers
