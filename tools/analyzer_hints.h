/* analyzer_hints.h - included before each source that clang's analyzer reads (tools/lint.sh): it
 * looks into one file at a time, and does not see that these give back the code that they were
 * given. */
#include "cnnscope_types.h"
#define cs_error_set(err, code, ...) ((void)cs_error_set(err, code, __VA_ARGS__), (code))

#if defined(HINT_SOURCE) /* weights_tools */
#include "source_file.h"
#define cs_source_error(source, code, ...) ((void)cs_source_error(source, code, __VA_ARGS__), (code))
#endif
