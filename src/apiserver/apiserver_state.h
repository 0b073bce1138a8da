// What an ApiServer is made of; for its own files.
#pragma once
#include "apiserver/apiserver.h"
#include "apiserver/pipeline/pipeline.h"

namespace redoubt::apiserver {

struct ApiServer::State : pipeline::Services {
  using Services::Services;
};

}  // namespace redoubt::apiserver
