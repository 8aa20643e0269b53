/* Stands for Intel's quote verification library: takes what its published prototypes say, tells what it got, and
   answers what a test wants. Structures are written after sgx_ql_lib_common.h, sgx_ql_quote.h, sgx_qve_header.h. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    union {
        uint32_t version;
        struct { uint16_t major_version, minor_version; };
    };
    uint32_t tee_type;
    char *pck_crl_issuer_chain;
    uint32_t pck_crl_issuer_chain_size;
    char *root_ca_crl;
    uint32_t root_ca_crl_size;
    char *pck_crl;
    uint32_t pck_crl_size;
    char *tcb_info_issuer_chain;
    uint32_t tcb_info_issuer_chain_size;
    char *tcb_info;
    uint32_t tcb_info_size;
    char *qe_identity_issuer_chain;
    uint32_t qe_identity_issuer_chain_size;
    char *qe_identity;
    uint32_t qe_identity_size;
} collateral_t;

#pragma pack(push, 1)
typedef struct {
    uint8_t nonce[16];
    uint8_t app_enclave_target_info[512];
    uint8_t qe_report[432];
} report_info_t;
#pragma pack(pop)

typedef enum { FLAG_FALSE = 0, FLAG_TRUE, FLAG_UNDEFINED } flag_t;
typedef enum { RESULT_OK = 0, RESULT_MAX = 0xA0FF } result_t;

typedef struct {
    union {
        uint32_t version;
        struct { uint16_t major_version, minor_version; };
    };
    time_t earliest_issue_date, latest_issue_date, earliest_expiration_date, tcb_level_date_tag;
    uint32_t pck_crl_num, root_ca_crl_num, tcb_eval_ref_num;
    uint8_t root_key_id[48];
    uint8_t pck_ppid[16];
    uint8_t tcb_cpusvn[16];
    uint16_t tcb_pce_isvsvn;
    uint16_t pce_id;
    uint32_t tee_type;
    uint8_t sgx_type;
    uint8_t platform_instance_id[16];
    flag_t dynamic_platform, cached_keys, smt_enabled;
    char sa_list[320];
    time_t qe_iden_earliest_issue_date, qe_iden_latest_issue_date, qe_iden_earliest_expiration_date;
    time_t qe_iden_tcb_level_date_tag;
    uint32_t qe_iden_tcb_eval_ref_num;
    result_t qe_iden_status;
} supplemental_t;

#define AT(type, field) { #type "." #field, offsetof(type, field) }
static const struct { const char *name; size_t value; } layout[] = {
    { "collateral_t", sizeof(collateral_t) },
    { "report_info_t", sizeof(report_info_t) },
    { "time_t", sizeof(time_t) },
    { "result_t", sizeof(result_t) },
    AT(collateral_t, major_version), AT(collateral_t, minor_version), AT(collateral_t, tee_type),
    AT(collateral_t, pck_crl_issuer_chain), AT(collateral_t, pck_crl_issuer_chain_size),
    AT(collateral_t, root_ca_crl), AT(collateral_t, root_ca_crl_size),
    AT(collateral_t, pck_crl), AT(collateral_t, pck_crl_size),
    AT(collateral_t, tcb_info_issuer_chain), AT(collateral_t, tcb_info_issuer_chain_size),
    AT(collateral_t, tcb_info), AT(collateral_t, tcb_info_size),
    AT(collateral_t, qe_identity_issuer_chain), AT(collateral_t, qe_identity_issuer_chain_size),
    AT(collateral_t, qe_identity), AT(collateral_t, qe_identity_size),
    AT(report_info_t, nonce), AT(report_info_t, app_enclave_target_info), AT(report_info_t, qe_report),
    AT(supplemental_t, major_version), AT(supplemental_t, minor_version),
    AT(supplemental_t, earliest_issue_date), AT(supplemental_t, latest_issue_date),
    AT(supplemental_t, earliest_expiration_date), AT(supplemental_t, tcb_level_date_tag),
    AT(supplemental_t, pck_crl_num), AT(supplemental_t, root_ca_crl_num), AT(supplemental_t, tcb_eval_ref_num),
    AT(supplemental_t, root_key_id), AT(supplemental_t, pck_ppid), AT(supplemental_t, tcb_cpusvn),
    AT(supplemental_t, tcb_pce_isvsvn), AT(supplemental_t, pce_id), AT(supplemental_t, tee_type),
    AT(supplemental_t, sgx_type), AT(supplemental_t, platform_instance_id), AT(supplemental_t, dynamic_platform),
    AT(supplemental_t, cached_keys), AT(supplemental_t, smt_enabled), AT(supplemental_t, sa_list),
    { NULL, 0 },
};

const char *stub_layout_name(int i) { return layout[i].name; }
size_t stub_layout_value(int i) { return layout[i].value; }

/* What to answer. */
uint32_t stub_size_code, stub_code, stub_expiration, stub_result, stub_size, stub_writes_nothing;
uint8_t stub_supplemental[1024];
void (*stub_reporter)(const uint8_t *nonce, const uint8_t *target_info, uint8_t *report);

/* What was received. */
uint32_t stub_calls, stub_with_report, stub_supplemental_size;
int64_t stub_date;
#define PARTS 8
static struct { uint8_t *data; uint32_t size; } parts[PARTS];
uint32_t stub_version, stub_tee_type;
const uint8_t *stub_part(int i) { return parts[i].data; }
uint32_t stub_part_size(int i) { return parts[i].size; }

uint32_t sgx_qv_get_quote_supplemental_data_size(uint32_t *p_data_size) {
    if (!stub_size_code)
        *p_data_size = stub_size;
    return stub_size_code;
}

#ifndef WITHOUT_VERIFY
static void keep(int i, const void *data, uint32_t size) {
    free(parts[i].data);
    parts[i].data = malloc(size ? size : 1);
    memcpy(parts[i].data, data, size);
    parts[i].size = size;
}

uint32_t sgx_qv_verify_quote(
    const uint8_t *p_quote,
    uint32_t quote_size,
    const collateral_t *c,
    const time_t expiration_check_date,
    uint32_t *p_collateral_expiration_status,
    result_t *p_quote_verification_result,
    report_info_t *p_qve_report_info,
    uint32_t supplemental_data_size,
    uint8_t *p_supplemental_data) {
    stub_calls++;
    keep(0, p_quote, quote_size);
    keep(1, c->pck_crl_issuer_chain, c->pck_crl_issuer_chain_size);
    keep(2, c->root_ca_crl, c->root_ca_crl_size);
    keep(3, c->pck_crl, c->pck_crl_size);
    keep(4, c->tcb_info_issuer_chain, c->tcb_info_issuer_chain_size);
    keep(5, c->tcb_info, c->tcb_info_size);
    keep(6, c->qe_identity_issuer_chain, c->qe_identity_issuer_chain_size);
    keep(7, c->qe_identity, c->qe_identity_size);
    stub_version = c->version;
    stub_tee_type = c->tee_type;
    stub_date = expiration_check_date;
    stub_with_report = p_qve_report_info != NULL;
    stub_supplemental_size = supplemental_data_size;
    if (stub_code || stub_writes_nothing)
        return stub_code;
    *p_collateral_expiration_status = stub_expiration;
    *p_quote_verification_result = (result_t)stub_result;
    if (p_supplemental_data)
        memcpy(p_supplemental_data, stub_supplemental, supplemental_data_size);
    if (p_qve_report_info && stub_reporter)
        stub_reporter(p_qve_report_info->nonce, p_qve_report_info->app_enclave_target_info,
                      p_qve_report_info->qe_report);
    return 0;
}
#endif
