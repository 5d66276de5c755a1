/* Stands in for a PAM module that decides about a session's cgroup: sets the PAM data
 * systemd.delegate to its arguments, for pam_systemd, which comes after it. */
#include <security/pam_modules.h>
#include <stdlib.h>
#include <string.h>

static void forget(pam_handle_t *handle, void *data, int status)
{
    (void)handle;
    (void)status;
    free(data);
}

int pam_sm_open_session(pam_handle_t *handle, int flags, int count, const char **words)
{
    size_t size = 1;
    char *text;

    (void)flags;
    for (int i = 0; i < count; i++)
        size += strlen(words[i]) + 1;
    text = calloc(1, size);
    if (!text)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        if (i > 0)
            strcat(text, " ");
        strcat(text, words[i]);
    }
    return pam_set_data(handle, "systemd.delegate", text, forget);
}

int pam_sm_close_session(pam_handle_t *handle, int flags, int count, const char **words)
{
    (void)handle;
    (void)flags;
    (void)count;
    (void)words;
    return PAM_SUCCESS;
}
