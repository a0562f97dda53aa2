#pragma once

namespace holdfast::admin {

/// What the kernel says of this process; NaN what it does not tell.
struct ProcessFigures {
    double cpu_seconds;
    double resident_bytes;
    double virtual_bytes;
    double open_descriptors;
    double descriptors_max;
};

ProcessFigures process_figures();

}  // namespace holdfast::admin
