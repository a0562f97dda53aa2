#include <iostream>

#include "proxy/app/cli.h"

int main(int argc, char** argv) {
    // The streams are not mixed with C's; unsynchronised they are faster for `classify`.
    std::ios::sync_with_stdio(false);
    return holdfast::app::cli(argc, argv, std::cin, std::cout, std::cerr);
}
