/* make_radiographs.c - writes a folder of drawn radiographs with labels and lung masks:
 * make_radiographs FOLDER COUNT FIRST_SEED PLANT PREVALENCE positives|both SIZE */
#include "radiograph_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    radiograph_set set = {0};
    int plant = 0;
    while (argc == 8 && plant < RADIOGRAPH_PLANTS &&
           strcmp(argv[4], radiograph_plant_name((radiograph_plant)plant)) != 0)
        plant++;
    if (argc != 8 || plant == RADIOGRAPH_PLANTS) {
        fprintf(stderr, "make_radiographs FOLDER COUNT FIRST_SEED PLANT PREVALENCE positives|both "
                        "SIZE\n"
                        "PLANT: none, corner-tag, border-text, side-marker, device\n");
        return 2;
    }
    set.count = strtoll(argv[2], NULL, 10);
    set.first_seed = strtoull(argv[3], NULL, 10);
    set.plant = (radiograph_plant)plant;
    set.prevalence = atoi(argv[5]);
    set.both = strcmp(argv[6], "both") == 0;
    set.size = strtoll(argv[7], NULL, 10);
    cs_error err;
    if (radiograph_set_write(&set, argv[1], &err) == CS_OK)
        return 0;
    fprintf(stderr, "make_radiographs: %s\n", err.text);
    return 6;
}
