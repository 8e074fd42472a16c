import { execa } from 'execa';
import { messageOf } from '../../../proto/runtime/errors.ts';
import { isLowerName } from '../overlay/link-names.ts';
import type { RedirectKernel } from '../redirect/redirect-kernel.ts';
import {
  emptyLink,
  FAMILIES,
  type ObservedLink,
  type ObservedRedirects,
  type RedirectOperation,
} from '../redirect/redirect-state.ts';
import { BatchErrors } from './batch-errors.ts';
import { command } from './command.ts';
import { readFilters, readQdiscs } from './redirect-listing.ts';
import { renderRedirect } from './render-redirect.ts';

const TIMEOUT_MS = 10_000;
/** tc has no object of this name: the error about it tells that it came to the end. */
const LAST_LINE = 'waggle-done';
const ABSENT =
  /not found|Cannot find device|Cannot find specified qdisc|Parent Qdisc doesn't exist|Invalid handle|No such file or directory/;
const EXISTS = /Exclusivity flag on|File exists/;
/** There is no tc, or a kernel without qdiscs: nobody has made filters. */
const NO_FILTERS = /ENOENT|Operation not supported/;

/**
 * Filters of tc(8). A process of its own for each batch: tc remembers the numbers of links by their names, and links are made anew.
 */
export class LinuxRedirects implements RedirectKernel {
  readonly #namespace: readonly string[];

  /** @param options a named namespace to work in; the host's own when absent. */
  constructor({ namespace }: { namespace?: string } = {}) {
    this.#namespace = namespace === undefined ? [] : ['-n', namespace];
  }

  async observe(scope: readonly string[] | 'all'): Promise<ObservedRedirects> {
    const [veths, qdiscs] = await Promise.all([
      command('ip', [...this.#namespace, '-br', 'link', 'show', 'type', 'veth']),
      this.#qdiscs(),
    ]);
    const names = veths.split('\n').map((line) => line.split(/[@\s]/, 1)[0] ?? '');
    const links = new Map<string, ObservedLink>();
    for (const [link, qdisc] of qdiscs) {
      if (scope === 'all' || scope.includes(link)) links.set(link, await this.#link(link, qdisc));
    }
    return { links, lowers: new Set(names.filter(isLowerName)) };
  }

  async apply(operations: readonly RedirectOperation[]): Promise<void> {
    const errors = new BatchErrors();
    errors.expect(operations.length);
    const input = `${[...operations.map(renderRedirect), LAST_LINE].join('\n')}\n`;
    const args = [...this.#namespace, '-force', '-batch', '-'];
    const result = await execa('tc', args, { input, stdout: 'ignore', reject: false, timeout: TIMEOUT_MS });
    const failures = errors.push(`${result.stderr}\n`);
    if (failures === undefined) throw new Error(`tc: ${errors.rest() || result.shortMessage || 'ended early'}`);
    const refused = failures.filter(({ index, message }) => !isDone(operations[index], message));
    const [first] = refused;
    if (first === undefined) return;
    const step = operations[first.index]?.kind ?? '';
    throw new Error(`tc: ${refused.length} of ${operations.length} refused, first ${step}: ${first.message}`);
  }

  async #qdiscs(): Promise<ReturnType<typeof readQdiscs>> {
    try {
      return readQdiscs(await this.#tc(['qdisc', 'show']));
    } catch (error) {
      if (NO_FILTERS.test(messageOf(error))) return new Map();
      throw error;
    }
  }

  async #link(link: string, qdisc: ObservedLink['qdisc']): Promise<ObservedLink> {
    if (qdisc === 'shared') return { ...emptyLink(), qdisc };
    const listing = await this.#filters(link, 'ingress');
    if (listing === undefined) return emptyLink();
    const { others, families } = readFilters(listing);
    const isAlone = qdisc === 'clsact' && !others && FAMILIES.some((family) => families[family].table !== 'none');
    const leaving = isAlone ? await this.#filters(link, 'egress') : '';
    return { qdisc, others: others || leaving !== '', families };
  }

  /** Undefined when the link has gone meanwhile. */
  async #filters(link: string, direction: 'ingress' | 'egress'): Promise<string | undefined> {
    try {
      return (await this.#tc(['filter', 'show', 'dev', link, direction])).trim();
    } catch (error) {
      if (ABSENT.test(messageOf(error))) return undefined;
      throw error;
    }
  }

  #tc(args: readonly string[]): Promise<string> {
    return command('tc', [...this.#namespace, ...args]);
  }
}

function isDone(operation: RedirectOperation | undefined, message: string): boolean {
  if (operation?.kind === 'create-qdisc') return EXISTS.test(message);
  return operation?.kind.startsWith('delete-') === true && ABSENT.test(message);
}
