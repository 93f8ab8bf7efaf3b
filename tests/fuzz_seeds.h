/* fuzz_seeds.h - the first inputs of the fuzz targets of checkpoints and manifests. */
#ifndef FUZZ_SEEDS_H
#define FUZZ_SEEDS_H

/* For main_test.c (--fuzz-seeds FOLDER): writes FOLDER/zip/..., FOLDER/pickle/... and so on;
 * returns the program's exit code. */
int fuzz_seeds_main(const char *folder);

#endif
