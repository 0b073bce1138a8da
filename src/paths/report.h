// A report for people and for programs.
#pragma once
#include <string>

#include "paths/observation.h"

namespace redoubt::paths {

struct TableOptions {
  bool wide = false;    // every column, nothing cut; else 100 columns
  bool colour = false;  // verdicts coloured, for terminals
};
// Equal rows of many nodes are one row in the narrow form. Ends with a line that counts.
std::string report_table(const Report& report, const TableOptions& options);
// What each probe did and saw.
std::string probes_text(const Report& report, const TableOptions& options);

// {"apiVersion":"redoubt.io/v1alpha1","kind":"PathReport",...}, one line.
std::string report_json(const Report& report);
std::string report_yaml(const Report& report);

// The exit status: 1 when something is `fail_on` or worse (Unknown counts only when it is asked for), else 0.
int exit_status(const Report& report, Verdict fail_on);

}  // namespace redoubt::paths
