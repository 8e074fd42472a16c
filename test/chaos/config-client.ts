import { type Answer, api } from '../lab/swarm.ts';
import type { Host } from '../lab/host.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Command, Result } from './config-register.ts';
import type { History, Outcome, Sighting } from './history.ts';

/** What is said before anything was begun: no such socket or nobody behind it, not a manager, nobody to lead. */
const NOT_BEGUN =
  /ECONNREFUSED|ENOENT|is not a swarm manager|is on its way back into the swarm|needs to be unlocked|The swarm does not have a leader/;

interface ShownConfig {
  ID: string;
  Version: { Index: number };
  Spec: { Name: string; Labels: Record<string, string> };
}

export interface FailedRequest {
  host: string;
  command: string;
  outcome: 'failed' | 'unknown';
  text: string;
}

export interface ConfigClientModules {
  history: History;
  /** Told of every request that was neither carried out nor refused for a reason of its own. */
  onFailure: (failure: FailedRequest) => void;
}

/** Asks a manager's API for one thing at a time, and classifies what comes of it. */
export class ConfigClient {
  readonly #modules: ConfigClientModules;

  constructor(modules: ConfigClientModules) {
    this.#modules = modules;
  }

  /** @returns what was read, if it was. @param version that goes with an update. */
  async ask(host: Host, key: string, command: Command, version = 0): Promise<Sighting | Outcome['kind']> {
    const finish = this.#modules.history.begin(key, command);
    const { outcome, sighting } = await this.#request(host, key, command, version);
    finish(outcome);
    if (sighting === undefined) return outcome.kind;
    this.#modules.history.saw(key, sighting);
    return sighting;
  }

  async addMember(host: Host, name: string): Promise<Outcome['kind']> {
    const finish = this.#modules.history.beginMember(name);
    const { outcome } = await this.#request(host, name, { kind: 'create', value: name }, 0);
    finish(outcome);
    return outcome.kind;
  }

  async #request(
    host: Host,
    key: string,
    command: Command,
    version: number,
  ): Promise<{ outcome: Outcome; sighting?: Sighting }> {
    try {
      const answer = await send(host, key, command, version);
      const result = resultOf(command, answer);
      if (result === undefined) return { outcome: this.#failed(host, command, `${answer.status} ${answer.text}`) };
      const outcome: Outcome = { kind: 'done', result };
      return command.kind === 'read' && result !== 'missing'
        ? { outcome, sighting: sightingOf(answer.json as ShownConfig) }
        : { outcome };
    } catch (error) {
      return { outcome: this.#failed(host, command, messageOf(error)) };
    }
  }

  #failed(host: Host, command: Command, text: string): Outcome {
    const outcome = NOT_BEGUN.test(text) ? 'failed' : 'unknown';
    this.#modules.onFailure({ host: host.name, command: command.kind, outcome, text: text.trim() });
    return { kind: outcome };
  }
}

export function sightingOf({ ID, Version, Spec }: ShownConfig): Sighting {
  return { id: ID, version: Version.Index, value: Spec.Labels['value'] ?? '' };
}

/** All configs with their names, by ID, as this manager shows them. */
export async function listConfigs(host: Host): Promise<[string, Sighting][]> {
  const { status, text, json } = await api(host, 'GET', '/configs');
  if (status !== 200) throw new Error(`${host.name}: ${status} ${text}`);
  const configs = (json as ShownConfig[]).toSorted((a, b) => (a.ID < b.ID ? -1 : 1));
  return configs.map((config) => [config.Spec.Name, sightingOf(config)]);
}

function send(host: Host, key: string, command: Command, version: number): Promise<Answer> {
  const spec = (value: string): object => ({ Name: key, Labels: { value } });
  switch (command.kind) {
    case 'create':
      return api(host, 'POST', '/configs/create', { ...spec(command.value), Data: 'eA==' });
    case 'update':
      return api(host, 'POST', `/configs/${key}/update?version=${version}`, spec(command.value));
    case 'remove':
      return api(host, 'DELETE', `/configs/${key}`);
    case 'read':
      return api(host, 'GET', `/configs/${key}`);
  }
}

/** Undefined for an answer that says nothing about the object. */
function resultOf(command: Command, { status, text, json }: Answer): Result | undefined {
  if (status < 300) return command.kind === 'read' ? `=${sightingOf(json as ShownConfig).value}` : 'ok';
  if (status === 404) return 'missing';
  if (status === 409 && /already exists|name conflicts with/.test(text)) return 'exists';
  if (text.includes('update out of sequence')) return 'stale';
  return undefined;
}
