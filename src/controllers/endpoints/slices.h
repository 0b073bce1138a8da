// From the endpoints that should be in a Service's slices to the fewest writes that put them there.
//
// Pure. A slice keeps its endpoints as long as they are wanted; changed slices are filled before others are touched;
// a new slice is made only when nothing has room (k8s.io/endpointslice/reconciler.go has the same order).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "controllers/endpoints/backends.h"

namespace redoubt::controllers {

inline constexpr size_t kMaxEndpointsPerSlice = 100;  // upstream's default

using SlicePtr = std::shared_ptr<const discovery::EndpointSlice>;

struct SlicePlan {
  std::vector<discovery::EndpointSlice> create;
  std::vector<discovery::EndpointSlice> update;
  std::vector<SlicePtr> remove;
  bool empty() const { return create.empty() && update.empty() && remove.empty(); }
};

// `pattern` is what each slice looks like apart from addressType, ports and endpoints: namespace, generateName, labels,
// annotations, owner. Existing slices whose labels differ are updated; with `own_annotations` likewise those whose
// annotations do.
SlicePlan plan_slices(const std::vector<EndpointGroup>& wanted, const std::vector<SlicePtr>& existing,
                      const discovery::EndpointSlice& pattern, bool own_annotations = false,
                      size_t max_per_slice = kMaxEndpointsPerSlice);

}  // namespace redoubt::controllers
