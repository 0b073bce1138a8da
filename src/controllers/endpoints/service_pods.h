// Which Services a changed pod concerns, and which pods a Service has: for the controllers that follow both.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "controllers/endpoints/backends.h"

namespace redoubt::controllers {

// How long changes are collected before a Service is worked on: pods of a rollout come in bursts.
inline constexpr std::chrono::milliseconds kEndpointBatch{50};

// Calls `concerned("namespace/name")` for every Service whose endpoints a change of a pod, of the Service itself, or of
// a node's zone may touch. Registers handlers with the informers; call it before they run.
void follow_services(Informers& informers, std::function<void(const std::string& key)> concerned);

// Pods of the Service's namespace that its selector selects.
std::vector<PodPtr> pods_of(Informers& informers, const core::Service& service);

}  // namespace redoubt::controllers
