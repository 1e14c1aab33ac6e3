/*
 * replay - runs a fuzz target over the files of its corpus, as an ordinary
 * test.
 *
 * Arguments are files, or folders whose files are all taken. A target that
 * finds something wrong aborts; the file at hand has been named before. Built
 * with -fsanitize=fuzzer instead of this file, the same target hunts for more.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "re");
    uint8_t *data;
    size_t n;

    if (!f || fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode)) {
        perror(path);
        return -1;
    }
    (void)printf("%s\n", path);
    (void)fflush(stdout);
    /* Exactly as large as the input, so that a sanitizer sees any step over. */
    data = malloc(st.st_size ? (size_t)st.st_size : 1);
    if (!data)
        abort();
    n = fread(data, 1, (size_t)st.st_size, f);
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

static int run_folder(const char *path)
{
    struct dirent **names = NULL;
    int files = 0;
    int n = scandir(path, &names, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        char *file = NULL;

        if (files >= 0 && names[i]->d_name[0] != '.') {
            if (asprintf(&file, "%s/%s", path, names[i]->d_name) < 0)
                abort();
            files = run_file(file) < 0 ? -1 : files + 1;
            free(file);
        }
        free(names[i]);
    }
    free(names);
    return n < 0 ? -1 : files;
}

int main(int argc, char **argv)
{
    int files = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;
        int n = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)
                    ? run_folder(argv[i])
                    : run_file(argv[i]);

        if (n < 0)
            return 1;
        files += n;
    }
    (void)printf("%d inputs\n", files);
    /* An empty corpus is a mistake, not a success. */
    return files ? 0 : 1;
}
