// What a step of the pipeline says: go on, the error to answer with, or a task to wait for that says which.
//
// Nearly every step of nearly every request decides at once, so a step is a plain function: only one that has to ask
// somebody else (a webhook, an issuer, a queue) makes a coroutine.
#pragma once
#include "base/pending.h"

namespace redoubt::apiserver {

class Verdict : public Pending<Result<void>> {
 public:
  using Pending::Pending;
  Verdict() : Pending(Result<void>{}) {}
};

}  // namespace redoubt::apiserver
