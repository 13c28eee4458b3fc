/* A QEMU plugin that counts the instructions of each core.
 *
 * Arguments: out=FILE (written when the machine ends: one decimal number a line, core 0 first),
 * start=ADDRESS (hexadecimal; counts from the first time that address is executed on, else from reset).
 *
 * Virtual time with -icount also jumps over idle time; this counts what was executed and nothing else.
 * Interface: QEMU 7.2, include/qemu/qemu-plugin.h, version 1; declared here because Debian packages no header.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_CORES 8

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
enum { NO_REGISTERS = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*cb)(unsigned int, void *), int flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, void *), void *data);

EXPORT int qemu_plugin_version = 1;

static uint64_t executed[MOST_CORES];
static uint64_t start;
static bool counting;
static char out[4096];

static void count(unsigned int core, void *instructions)
{
    if (counting && core < MOST_CORES) {
        executed[core] += (uintptr_t)instructions;
    }
}

static void begin(unsigned int core, void *instructions)
{
    counting = true;
    count(core, instructions);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    bool first = start != 0 && qemu_plugin_tb_vaddr(tb) == start;
    void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, first ? begin : count, NO_REGISTERS, instructions);
}

static void end(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    FILE *file = fopen(out, "w");
    for (int core = 0; file && core < MOST_CORES; core++) {
        fprintf(file, "%" PRIu64 "\n", executed[core]);
    }
    if (file) {
        fclose(file);
    }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            snprintf(out, sizeof out, "%s", argv[i] + 4);
        } else if (strncmp(argv[i], "start=", 6) == 0) {
            start = strtoull(argv[i] + 6, NULL, 16);
        }
    }
    counting = start == 0;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
