import { execa } from 'execa';
import type { GuardKernel } from '../guard/guard-kernel.ts';
import { emptyGuard, type GuardOperation, type ObservedGuard } from '../guard/guard-state.ts';
import { type GuardFamily, guardScript, MEMBER_TABLE } from '../guard/member-ruleset.ts';
import { guardRules, type LearntGuard, readGuard } from './guard-listing.ts';
import { runNft } from './route-table.ts';

const TIMEOUT_MS = 10_000;
const ABSENT = /No such file or directory/;

/** The packet filter through nft. */
export class LinuxGuard implements GuardKernel {
  readonly #family: GuardFamily;
  /** Versions of nft print the same rules in different words: they are compared with what this one has printed of ours. */
  #learnt: LearntGuard | undefined;

  constructor(family: GuardFamily) {
    this.#family = family;
  }

  async observe(): Promise<ObservedGuard> {
    const listing = await this.#list();
    return listing === undefined ? emptyGuard() : readGuard(listing, this.#learnt);
  }

  async apply(operation: GuardOperation): Promise<void> {
    const refusal = await runNft(guardScript(operation, this.#family));
    if (operation.kind === 'delete' && refusal !== undefined && ABSENT.test(refusal)) return;
    if (refusal !== undefined) throw new Error(`nft: ${refusal}`);
    if (operation.kind !== 'install') return;
    const { port, vnis } = operation;
    const listing = await this.#list();
    this.#learnt = listing === undefined ? undefined : { made: { port, vnis }, rules: guardRules(listing) };
  }

  /** Undefined when there is no such table. @throws Error in nft's words. */
  async #list(): Promise<string | undefined> {
    const args = ['-j', 'list', 'table', this.#family, MEMBER_TABLE];
    const result = await execa('nft', args, { stdin: 'ignore', reject: false, timeout: TIMEOUT_MS });
    if (!result.failed) return result.stdout;
    if (ABSENT.test(result.stderr)) return undefined;
    throw new Error(`nft ${args.join(' ')}: ${result.stderr || result.shortMessage}`);
  }
}
