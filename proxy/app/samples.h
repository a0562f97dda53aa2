#pragma once

#include "proxy/admin/log_spdlog.h"
#include "proxy/admin/metrics.h"
#include "proxy/app/service.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

/// Looks at what is shown in metrics and is not told as events: called whenever they are read.
void take_samples(const loop::Loop& loop, const admin::SpdLog& log, const Service& service,
                  admin::PrometheusMetrics& metrics);

}  // namespace holdfast::app
