/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio_ap

#if !defined(VFIO_AP_RS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VFIO_AP_RS_TRACE_H

#include <linux/tracepoint.h>
#include <asm/ap.h>

/* A guest has changed. adapter and domain are -1 if the cause concerns none. */
TRACE_EVENT(vfio_ap_guest,
	TP_PROTO(const char *mdev, const char *cause, int adapter, int domain,
		 const u64 *apm, const u64 *aqm, const u64 *adm),
	TP_ARGS(mdev, cause, adapter, domain, apm, aqm, adm),
	TP_STRUCT__entry(
		__string(mdev, mdev)
		__string(cause, cause)
		__field(int, adapter)
		__field(int, domain)
		__array(u64, apm, 4)
		__array(u64, aqm, 4)
		__array(u64, adm, 4)
	),
	TP_fast_assign(
		__assign_str(mdev);
		__assign_str(cause);
		__entry->adapter = adapter;
		__entry->domain = domain;
		memcpy(__entry->apm, apm, sizeof(__entry->apm));
		memcpy(__entry->aqm, aqm, sizeof(__entry->aqm));
		memcpy(__entry->adm, adm, sizeof(__entry->adm));
	),
	TP_printk("mdev=%s cause=%s adapter=%d domain=%d apm=%s aqm=%s adm=%s",
		  __get_str(mdev), __get_str(cause), __entry->adapter, __entry->domain,
		  __print_array(__entry->apm, 4, sizeof(u64)),
		  __print_array(__entry->aqm, 4, sizeof(u64)),
		  __print_array(__entry->adm, 4, sizeof(u64)))
);

DECLARE_EVENT_CLASS(vfio_ap_queue,
	TP_PROTO(u16 qid, u8 code),
	TP_ARGS(qid, code),
	TP_STRUCT__entry(
		__field(u16, qid)
		__field(u8, code)
	),
	TP_fast_assign(
		__entry->qid = qid;
		__entry->code = code;
	),
	TP_printk("queue=%02x.%04x code=%#04x",
		  AP_QID_CARD(__entry->qid), AP_QID_QUEUE(__entry->qid), __entry->code)
);

/* ZAPQ was executed, with this response code. */
DEFINE_EVENT(vfio_ap_queue, vfio_ap_zapq,
	TP_PROTO(u16 qid, u8 code),
	TP_ARGS(qid, code));

/* A reset has ended, with 0 or the response code of its failure. */
DEFINE_EVENT(vfio_ap_queue, vfio_ap_reset_end,
	TP_PROTO(u16 qid, u8 code),
	TP_ARGS(qid, code));

/* PQAP(AQIC) of a guest got this response code. */
DEFINE_EVENT(vfio_ap_queue, vfio_ap_aqic,
	TP_PROTO(u16 qid, u8 code),
	TP_ARGS(qid, code));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
