#include "base/err.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

const char *px_strerror(int rc)
{
    const char *text;

    switch (-rc) {
#define PX_ERROR_TEXT(name, number, mount, text) \
    case name:                                   \
        return text;
        PX_ERRORS(PX_ERROR_TEXT)
#undef PX_ERROR_TEXT
    default:
        text = strerrordesc_np(-rc);
        return text != NULL ? text : "unknown error";
    }
}

int px_mount_errno(int rc)
{
    switch (-rc) {
#define PX_ERROR_MOUNT(name, number, mount, text) \
    case name:                                    \
        return mount;
        PX_ERRORS(PX_ERROR_MOUNT)
#undef PX_ERROR_MOUNT
    default:
        return -rc;
    }
}
