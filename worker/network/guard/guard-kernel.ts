import type { GuardOperation, ObservedGuard } from './guard-state.ts';

/** The packet filter of this host. One caller at a time. Implemented by system/linux-guard.ts. */
export interface GuardKernel {
  /** @throws Error in the words of the kernel's tools. */
  observe(): Promise<ObservedGuard>;
  /** One transaction: all of it takes effect, or nothing. @throws Error in the words of the kernel's tools. */
  apply(operation: GuardOperation): Promise<void>;
}
