// SPDX-License-Identifier: GPL-2.0-or-later
// Results as text for people and as JSON for tests. The JSON fields are a contract: docs/causal-checker.md.
#pragma once

#include "causal/check.hpp"
#include "causal/options.hpp"

#include <string>

namespace rc::causal {

std::string write_report(const WriteSummary& summary, const WriteOptions& options);

struct VerifyResult {
  Verdict verdict;
  bool good = false; // causal, nothing torn or misplaced, and what the options ask for
};

VerifyResult judge(const Image& image, const AckLog* log, const VerifyOptions& options);
std::string verify_report(const VerifyResult& result, const Image& image, const AckLog* log,
                          const VerifyOptions& options);

std::string log_report(const std::vector<LogSection>& sections, const ReadLogOptions& options);

} // namespace rc::causal
