#include "controllers/endpoints/slices.h"

#include <algorithm>
#include <map>

#include "schema/typed.h"

namespace redoubt::controllers {

namespace {

// What makes two endpoints the same one, whatever their conditions.
std::string identity(const discovery::Endpoint& e) {
  std::string out;
  for (const std::string& address : e.addresses) out += address + ",";
  if (e.targetRef) out += fmt::format("|{}/{}/{}", e.targetRef->namespace_, e.targetRef->name, e.targetRef->uid);
  return out + "|" + e.hostname.value_or("");
}

std::string ports_key(const std::string& type, std::vector<discovery::EndpointPort> ports) {
  std::vector<std::string> parts;
  for (const auto& p : ports) {
    parts.push_back(fmt::format("{}|{}|{}|{}", p.name.value_or(""), p.protocol.value_or("TCP"), p.port.value_or(0),
                                p.appProtocol.value_or("")));
  }
  std::sort(parts.begin(), parts.end());
  std::string out = type;
  for (const std::string& part : parts) out += ";" + part;
  return out;
}

struct Candidate {
  SlicePtr before;
  discovery::EndpointSlice now;
  bool changed = false;
};

discovery::EndpointSlice fresh(const discovery::EndpointSlice& pattern, const EndpointGroup& group) {
  discovery::EndpointSlice out = pattern;
  out.addressType = group.address_type;
  out.ports = group.ports;
  return out;
}

// Slices of one address type and list of ports.
void plan_group(const EndpointGroup& group, const std::vector<SlicePtr>& slices,
                const discovery::EndpointSlice& pattern, bool own_annotations, size_t most, SlicePlan& plan) {
  std::map<std::string, const discovery::Endpoint*> left;
  for (const discovery::Endpoint& e : group.endpoints) left.emplace(identity(e), &e);
  std::vector<Candidate> candidates;
  for (const SlicePtr& slice : slices) {
    Candidate& c = candidates.emplace_back();
    c.before = slice;
    c.now = *slice;
    c.now.endpoints.clear();
    for (const discovery::Endpoint& have : slice->endpoints) {
      auto it = left.find(identity(have));
      if (it == left.end()) {
        c.changed = true;
        continue;
      }
      c.changed = c.changed || !schema::equal(have, *it->second);
      c.now.endpoints.push_back(*it->second);
      left.erase(it);
    }
    if (c.now.metadata.labels != pattern.metadata.labels) {
      c.now.metadata.labels = pattern.metadata.labels;
      c.changed = true;
    }
    if (own_annotations && c.now.metadata.annotations != pattern.metadata.annotations) {
      c.now.metadata.annotations = pattern.metadata.annotations;
      c.changed = true;
    }
  }
  auto take = [&](discovery::EndpointSlice& slice, size_t count) {
    for (; count > 0 && !left.empty(); --count) {
      slice.endpoints.push_back(*left.begin()->second);
      left.erase(left.begin());
    }
  };
  // Those that are written anyway take what they can, the fullest first.
  std::vector<Candidate*> open;
  for (Candidate& c : candidates) {
    if (c.now.endpoints.size() < most) open.push_back(&c);
  }
  std::stable_sort(open.begin(), open.end(), [](const Candidate* a, const Candidate* b) {
    return a->now.endpoints.size() > b->now.endpoints.size();
  });
  for (Candidate* c : open) {
    if (c->changed && !c->now.endpoints.empty()) take(c->now, most - c->now.endpoints.size());
  }
  for (Candidate* c : open) {
    if (c->changed && c->now.endpoints.empty()) take(c->now, most);
  }
  while (!left.empty()) {
    // What is over: into one untouched slice that has room for all of it, or into a new one.
    if (left.size() < most) {
      auto room = std::find_if(open.begin(), open.end(), [&](const Candidate* c) {
        return !c->changed && c->now.endpoints.size() + left.size() <= most;
      });
      if (room != open.end()) {
        (*room)->changed = true;
        take((*room)->now, left.size());
        break;
      }
    }
    discovery::EndpointSlice& made = plan.create.emplace_back(fresh(pattern, group));
    take(made, most);
  }
  bool any = std::any_of(candidates.begin(), candidates.end(), [](const auto& c) { return !c.now.endpoints.empty(); });
  bool placeholder = group.endpoints.empty();
  for (Candidate& c : candidates) {
    // Of empty slices one stays, and only when there is nothing else to show.
    if (c.now.endpoints.empty() && (any || !placeholder)) {
      plan.remove.push_back(c.before);
      continue;
    }
    if (c.now.endpoints.empty()) placeholder = false;
    if (c.changed) plan.update.push_back(std::move(c.now));
  }
  if (group.endpoints.empty() && candidates.empty()) plan.create.push_back(fresh(pattern, group));
}

}  // namespace

SlicePlan plan_slices(const std::vector<EndpointGroup>& wanted, const std::vector<SlicePtr>& existing,
                      const discovery::EndpointSlice& pattern, bool own_annotations, size_t max_per_slice) {
  SlicePlan plan;
  std::map<std::string, std::vector<SlicePtr>> by_ports;
  for (const SlicePtr& slice : existing) by_ports[ports_key(slice->addressType, slice->ports)].push_back(slice);
  for (const EndpointGroup& group : wanted) {
    auto it = by_ports.find(ports_key(group.address_type, group.ports));
    plan_group(group, it == by_ports.end() ? std::vector<SlicePtr>() : it->second, pattern, own_annotations,
               max_per_slice, plan);
    if (it != by_ports.end()) by_ports.erase(it);
  }
  for (const auto& [key, slices] : by_ports) plan.remove.insert(plan.remove.end(), slices.begin(), slices.end());
  // One to make and one to drop of the same address type are one to change.
  for (auto made = plan.create.begin(); made != plan.create.end();) {
    auto old = std::find_if(plan.remove.begin(), plan.remove.end(),
                            [&](const SlicePtr& s) { return s->addressType == made->addressType; });
    if (old == plan.remove.end()) {
      ++made;
      continue;
    }
    made->metadata.name = (*old)->metadata.name;
    made->metadata.generateName = (*old)->metadata.generateName;
    made->metadata.uid = (*old)->metadata.uid;
    made->metadata.resourceVersion = (*old)->metadata.resourceVersion;
    plan.update.push_back(std::move(*made));
    made = plan.create.erase(made);
    plan.remove.erase(old);
  }
  return plan;
}

}  // namespace redoubt::controllers
