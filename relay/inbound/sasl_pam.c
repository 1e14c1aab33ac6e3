/*
 * sasl_pam - a password, as the system judges it.
 *
 * The service's file in /etc/pam.d decides. The password is told only to a question that
 * asks for a secret; nothing else is answered. An answer that is neither yes nor no (a
 * module is missing, a server is down) is "cannot tell", and so is "wrong" from who cannot
 * read what to judge by. Delays after a failure are the
 * session's affair, PAM is asked to make none: it would hold a thread.
 */
#include "relay/inbound/pambase.h"
#include "relay/inbound/sasl_private.h"

#include "policy/vocabulary/limits.h"

#include <security/pam_appl.h>
#include <stdlib.h>

static int answer(int count, const struct pam_message **asked,
                  struct pam_response **out_answers, void *password)
{
    struct pam_response *all;

    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    all = calloc((size_t)count, sizeof *all); /* PAM frees it */
    if (!all)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        int style = asked[i]->msg_style;

        if (style == PAM_PROMPT_ECHO_OFF)
            all[i].resp = strdup(password);
        if (all[i].resp || style == PAM_TEXT_INFO || style == PAM_ERROR_MSG)
            continue;
        for (int k = 0; k < i; k++)
            password_forget(all[k].resp);
        free(all);
        return PAM_CONV_ERR;
    }
    *out_answers = all;
    return PAM_SUCCESS;
}

static void no_delay(int rc, unsigned us, void *user)
{
    (void)rc;
    (void)us;
    (void)user;
}

static enum sasl_said judge(int rc)
{
    switch (rc) {
    case PAM_SUCCESS:
        return SASL_OK;
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES:
    case PAM_ACCT_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_CRED_EXPIRED:
    case PAM_AUTHTOK_EXPIRED:
    case PAM_PERM_DENIED:
    case PAM_CONV_ERR: /* it asked for what we do not have */
        return SASL_WRONG;
    default:
        return SASL_UNAVAILABLE;
    }
}

static int ask(pam_handle_t *pam, const char *client)
{
    int flags = PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK, rc;
    union { /* PAM takes a function as a pointer to data */
        void (*fn)(int, unsigned, void *);
        const void *item;
    } delay = { .fn = no_delay };

    (void)pam_set_item(pam, PAM_FAIL_DELAY, delay.item);
    rc = pam_set_item(pam, PAM_RHOST, client);
    if (rc == PAM_SUCCESS)
        rc = pam_authenticate(pam, flags);
    if (rc == PAM_SUCCESS)
        rc = pam_acct_mgmt(pam, flags);
    return rc;
}

enum sasl_said sasl_pam_check(struct sasl_exchange *x, struct span login,
                              struct span password)
{
    struct buffer client = { 0 };
    struct pam_conv conv = { .conv = answer };
    pam_handle_t *pam = NULL;
    char *name, *secret;
    enum sasl_said said;
    int rc;

    if (!userfile_login_is_good(login) || password.len == 0)
        return SASL_WRONG;
    name = span_dup(login);
    conv.appdata_ptr = secret = span_dup(password);
    host_address_print(&client, &x->client);
    rc = pam_start_confdir(x->book->service, name, &conv, x->desk->pam_folder,
                           &pam);
    if (rc == PAM_SUCCESS)
        rc = ask(pam, buffer_string(&client));
    said = judge(rc);
    if (said == SASL_WRONG &&
        pambase_is_out_of_reach(x->desk->pam_folder, span_of(x->book->service),
                                PAMBASE_SHADOW)) {
        said = SASL_UNAVAILABLE;
        buffer_put_string(&x->text, "PAM cannot read " PAMBASE_SHADOW);
    } else if (said == SASL_UNAVAILABLE) {
        buffer_printf(&x->text, "PAM: %s", pam_strerror(pam, rc));
    }
    if (pam)
        (void)pam_end(pam, rc);
    password_forget(secret);
    free(name);
    buffer_fini(&client);
    return said;
}
