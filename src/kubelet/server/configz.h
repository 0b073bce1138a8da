// /configz: what the kubelet runs with, in the words of upstream's KubeletConfiguration. Nothing secret is in it.
#pragma once
#include <string>

#include "kubelet/options.h"

namespace redoubt::kubelet {

std::string configz(const Options& options);

}  // namespace redoubt::kubelet
