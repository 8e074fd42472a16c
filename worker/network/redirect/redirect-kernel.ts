import type { ObservedRedirects, RedirectOperation } from './redirect-state.ts';

/** The filters at ingress of this host's links. One caller at a time. Implemented by system/linux-redirects.ts. */
export interface RedirectKernel {
  /**
   * @param links which to look at; `all`: every link that has a qdisc for such filters.
   * @throws Error in the words of the kernel's tools.
   */
  observe(links: readonly string[] | 'all'): Promise<ObservedRedirects>;
  /**
   * In order, all of them, whatever fails. To delete what is gone is no failure, nor to make a qdisc that is there.
   * @throws Error in the words of the kernel's tools when some have failed.
   */
  apply(operations: readonly RedirectOperation[]): Promise<void>;
}
