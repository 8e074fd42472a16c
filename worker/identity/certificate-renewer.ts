import { nodeCaService } from '../../proto/rpc/services.ts';
import { CHANNEL_OPTIONS, nodeCredentials } from '../../proto/rpc/credentials.ts';
import { callUnary } from '../../proto/rpc/unary.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { createCertificateRequest } from './certificate-request.ts';
import type { Identity } from './identity.ts';
import type { IdentityStore } from './identity-store.ts';
import { type IssuedMaterial, issuedMaterial } from './issued-material.ts';

const RETRY: BackoffOptions = { minMs: 5000, maxMs: 3_600_000, factor: 2, jitter: 0.2 };
const CALL_MS = 20_000;
/** setTimeout takes 31 bits; the next look is at the latest after this. */
const MAX_SLEEP_MS = 24 * 3_600_000;

export interface RenewerModules {
  identity: Identity;
  store: IdentityStore;
  /** Addresses of managers, best first, at the time of asking. */
  managers: () => readonly string[];
  clock: Clock;
  random: Random;
  log: Log;
}

/** When to renew: at a random point between 50 and 80 % of the certificate's life (swarmkit calculateRandomExpiry). */
export function renewalTimeMs(from: number, notAfter: number, random: number): number {
  return from + (notAfter - from) * (0.5 + 0.3 * random);
}

/**
 * Renews the node's certificate in time, and at once when the role changed or its key is due to be replaced; a failure is tried
 * again after 5 s to 1 h.
 * The new one is on the disk before it is used.
 */
export class CertificateRenewer implements Startable {
  readonly #modules: RenewerModules;
  readonly #abort = new AbortController();
  #dueAt = 0;
  #failures = 0;
  #cancel: CancelTimer | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #unsubscribe: (() => void) | undefined;

  constructor(modules: RenewerModules) {
    this.#modules = modules;
  }

  async start(): Promise<void> {
    const { identity, store } = this.#modules;
    this.#schedule(identity.notBefore);
    const look = (): void => {
      if (store.renewalDue) this.renewNow();
    };
    this.#unsubscribe = store.onChange(look);
    look();
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new WaggleError('aborted', 'certificate renewal stopped'));
    this.#unsubscribe?.();
    this.#cancel?.();
    await this.#running;
  }

  /** Renews now: the node's role has changed. */
  renewNow(): void {
    if (this.#abort.signal.aborted) return;
    this.#again = this.#running !== undefined;
    if (!this.#again) this.#run();
  }

  #schedule(from: number): void {
    const { identity, random } = this.#modules;
    this.#failures = 0;
    this.#dueAt = renewalTimeMs(from, identity.notAfter, random());
    this.#sleep();
  }

  #sleep(): void {
    const { clock } = this.#modules;
    this.#cancel?.();
    this.#cancel = clock.after(Math.min(MAX_SLEEP_MS, Math.max(0, this.#dueAt - clock.now())), () => {
      if (clock.now() < this.#dueAt) this.#sleep();
      else this.#run();
    });
  }

  #run(): void {
    this.#cancel?.();
    this.#running = this.#renew().then(() => {
      this.#running = undefined;
      if (this.#abort.signal.aborted || !this.#again) return;
      this.#again = false;
      this.#run();
    });
  }

  async #renew(): Promise<void> {
    const { identity, store, clock, random, log } = this.#modules;
    try {
      const { material, lock } = await this.#request();
      identity.check(material);
      await store.save(material, lock);
      identity.replace(material);
      log.info({ role: identity.role, until: new Date(identity.notAfter).toISOString() }, 'certificate renewed');
      // From now on, not from notBefore: that lies an hour back, and a short-lived certificate would be due at once.
      this.#schedule(clock.now());
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#failures++;
      this.#dueAt = clock.now() + backoffDelayMs(RETRY, this.#failures, random());
      log.warn({ error: messageOf(error), failures: this.#failures }, 'certificate not renewed, tried again later');
      this.#sleep();
    }
  }

  async #request(): Promise<IssuedMaterial> {
    const { identity, managers, clock } = this.#modules;
    const present = identity.tls();
    const request = createCertificateRequest();
    let failure: unknown = new WaggleError('unavailable', 'no manager is known');
    for (const address of managers()) {
      const client = new nodeCaService.Client(address, nodeCredentials(present), CHANNEL_OPTIONS);
      try {
        const answer = await callUnary(
          client,
          client.issueNodeCertificate,
          { csr: Buffer.from(request.csr) },
          { clock, timeoutMs: CALL_MS, signal: this.#abort.signal },
        );
        return issuedMaterial(answer, { key: request.key, root: present.root });
      } catch (error) {
        if (this.#abort.signal.aborted) throw error;
        failure = error;
      } finally {
        client.close();
      }
    }
    throw failure;
  }
}
