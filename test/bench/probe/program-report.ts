/** What it took to bring the endpoints of one network into the kernel. */
export interface ProgramReport {
  /** Found in the kernel afterwards. */
  endpoints: number;
  /** From the records' arrival to the last entry. */
  seconds: number;
  /** Of the process and of the tools that it runs. */
  cpuSeconds: number;
  /** The same for the first audit after that, which finds nothing to do. */
  auditCpuSeconds: number;
  /** The same for any further one, while nothing changes. */
  idleAuditCpuSeconds: number;
  /** Growth of the process's resident memory, after a garbage collection. */
  memoryMib: number;
}
