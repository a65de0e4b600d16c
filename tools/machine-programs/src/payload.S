# SPDX-License-Identifier: GPL-2.0
#
# The program of the guests of apvmm. It repeatedly tests each AP queue, and executes the AP
# instructions that the host requests. It is position independent, and runs with 64-bit
# addresses and without translation. %r13 points to the mailbox, whose layout is in payload.rs.

	.section .rodata.payload, "a"
	.globl	payload_start, payload_io, payload_program, payload_end
	.balign	8
payload_start:
	lctlg	%c6, %c6, 0x98(%r13)
next_scan:
	lg	%r8, 0x68(%r13)
	lghi	%r9, 0
next_adapter:
	lghi	%r10, 0
next_domain:
	sllg	%r11, %r9, 8
	ogr	%r11, %r10
	lgr	%r0, %r11
	lghi	%r1, 0
	lghi	%r2, 0
	.long	0xb2af0000		# PQAP(TAPQ)
	srlg	%r1, %r1, 16
	stc	%r1, 0(%r11, %r8)
	lg	%r1, 0x08(%r13)
	cghi	%r1, 0
	jne	command
commanded:
	aghi	%r10, 1
	clg	%r10, 0x78(%r13)
	jle	next_domain
	aghi	%r9, 1
	clg	%r9, 0x70(%r13)
	jle	next_adapter
	lg	%r1, 0(%r13)
	aghi	%r1, 1
	stg	%r1, 0(%r13)
	j	next_scan

command:
	cghi	%r1, 2
	je	nqap
	cghi	%r1, 3
	je	dqap
	cghi	%r1, 4
	je	wait
	lmg	%r0, %r7, 0x10(%r13)
	.long	0xb2af0000		# PQAP
	j	done
nqap:
	lmg	%r0, %r7, 0x10(%r13)
	.long	0xb2ad0046		# NQAP %r4, %r6
	j	done
dqap:
	lmg	%r0, %r7, 0x10(%r13)
	.long	0xb2ae0046		# DQAP %r4, %r6
	j	done
# Load an enabled wait PSW. The handler of an interruption ends the wait.
wait:
	larl	%r1, done
	stg	%r1, 0xb8(%r13)
	lpswe	0xb0(%r13)
done:
	ipm	%r14
	srl	%r14, 28
	llgfr	%r14, %r14
	stmg	%r0, %r7, 0x10(%r13)
	stg	%r14, 0x50(%r13)
	lghi	%r14, 0
	stg	%r14, 0x08(%r13)
	j	commanded

# Handler of I/O interruptions: counts them, stores the identification word, and ends a wait.
payload_io:
	stg	%r1, 0x80(%r13)
	llgf	%r1, 0xc0
	stg	%r1, 0x60(%r13)
	lg	%r1, 0x58(%r13)
	aghi	%r1, 1
	stg	%r1, 0x58(%r13)
	lg	%r1, 0x80(%r13)
	ni	0x171, 0xfd
	lpswe	0x170

# Handler of program interruptions, which are unexpected: stores the code and the address, and
# stops.
payload_program:
	llgf	%r1, 0x8c
	stg	%r1, 0x88(%r13)
	lg	%r1, 0x158
	stg	%r1, 0x90(%r13)
	lpswe	0xa0(%r13)
payload_end:
	.previous
