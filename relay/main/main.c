/*
 * main - the program. What it can do stands in verbs.c.
 */
#include "relay/main/verbs.h"

int main(int argc, char **argv)
{
    return verbs_main(argc, argv);
}
