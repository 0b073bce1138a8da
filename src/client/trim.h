// What an informer need not keep. A process that follows every object of a large cluster holds a fraction of it, and
// decodes a fraction.
//
// A trimmed object must not be written back whole: patch it.
#pragma once
#include "schema/value.h"

namespace redoubt::client {

// Of a pod, what only the node that runs it reads: its containers' environment, mounts, commands, probes and the like.
// Resources, ports, names, volumes, scheduling and status stay. Managed fields go, too.
void trim_pod(schema::Value& pod);

}  // namespace redoubt::client
