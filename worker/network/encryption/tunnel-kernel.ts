import type { ObservedTunnel, TunnelOperation } from './tunnel-state.ts';

export interface TunnelFailure {
  operation: TunnelOperation;
  message: string;
}

/** How this host can encrypt, or what it lacks, in words for whoever can install it. */
export type TunnelCapability = { able: true; by: 'kernel' | 'wireguard-go' } | { able: false; reason: string };

/** WireGuard on this host. One caller at a time. Implemented by system/linux-tunnel.ts. */
export interface TunnelKernel {
  capability(): Promise<TunnelCapability>;
  /** @throws WaggleError internal when the kernel cannot be asked; a device that does not answer is a result. */
  observe(): Promise<ObservedTunnel>;
  /** Carries out the operations in order up to the first that fails: a later one may need it. @returns that one. */
  apply(operations: readonly TunnelOperation[]): Promise<TunnelFailure | undefined>;
  /** Called when a WireGuard process that we started, and that came up, has ended. */
  onExit(listener: () => void): void;
}
