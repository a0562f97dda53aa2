# Writes OUT, a C++ source with a function that returns the text of IN:  cmake -DIN= -DOUT= -DFUNCTION= -P embed.cmake
file(READ "${IN}" text)
file(WRITE "${OUT}" "#include <string_view>\n\nnamespace holdfast::admin {\nstd::string_view ${FUNCTION}();\n"
    "std::string_view ${FUNCTION}() {\n    return R\"embedded(${text})embedded\";\n}\n}  // namespace holdfast::admin\n")
