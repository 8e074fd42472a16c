import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import { randomBytes } from 'node:crypto';
import type {
  PathEvidence,
  ProbeAnswer,
  SandboxEvidence,
  SightingsAnswer,
} from '../../../proto/objects/diagnosis/path.ts';
import type { Question, QuestionOf } from '../../../proto/objects/diagnosis/question.ts';
import type {
  EndpointsAnswer,
  NodeSurvey,
  RecordsAnswer,
  SurveyedEndpoint,
  SurveyedNetwork,
} from '../../../proto/objects/diagnosis/survey.ts';
import { assertNever } from '../../../proto/runtime/assert.ts';
import { type Clock, sleep } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { EndpointTable } from '../../gossip/endpoint-table.ts';
import type { AssignedState } from '../assigned-network.ts';
import type { ContainerNames } from '../endpoint-names.ts';
import type { LocalNetworkEndpoint } from '../local-endpoint.ts';
import { isIpv4, isIpv6, withoutPrefix } from '../overlay/address.ts';
import { differencesOf } from '../overlay/differences.ts';
import { namespaceName } from '../overlay/link-names.ts';
import type { Examination } from '../overlay/overlay.ts';
import type { Overlays } from '../overlay/overlays.ts';
import { namespacePath } from '../system/netns.ts';
import { echoProbe } from './echo-probe.ts';
import { PacketWatch, type Place } from './packet-watch.ts';
import { pathEvidence } from './path-view.ts';
import { digestRecords, surveyRecord } from './record-digests.ts';
import { viewSandbox } from './sandbox-view.ts';

const MAX_DIFFERENCES = 200;
const EXAMINE_TRIES = 5;
const EXAMINE_EVERY_MS = 100;

export interface NetworkDiagnosisOptions {
  vtep: string;
  /** UDP port of the data path. */
  port: number;
}

export interface NetworkDiagnosisModules {
  overlays: Pick<Overlays, 'examine' | 'repairs' | 'hostDifferences' | 'underlay' | 'guardView'>;
  endpoints: () => readonly LocalNetworkEndpoint[];
  leases: () => readonly { networkId: string; address: string }[];
  assigned: Pick<AssignedState, 'networks'>;
  table: EndpointTable;
  containers: ContainerNames;
  /** Path of a container's network namespace, for an endpoint whose own is not known. */
  sandboxOf: (containerId: string) => Promise<string>;
  clock: Clock;
}

/**
 * Answers the leader's questions about this node's part in the swarm's networks: what was told to it, what it has told others and
 * heard from them, and what the kernel has. It looks and, for a trace, sends a few packets; it repairs nothing.
 */
export class NetworkDiagnosis {
  readonly #options: NetworkDiagnosisOptions;
  readonly #modules: NetworkDiagnosisModules;
  readonly #watch: PacketWatch;

  constructor(options: NetworkDiagnosisOptions, modules: NetworkDiagnosisModules) {
    this.#options = options;
    this.#modules = modules;
    this.#watch = new PacketWatch(modules);
  }

  stop(): Promise<void> {
    return this.#watch.stop();
  }

  /** @throws WaggleError not-found for an endpoint that is not here, and what the kernel's tools say. */
  answer(question: Question): Promise<unknown> {
    switch (question.kind) {
      case 'survey':
        return this.#survey(question);
      case 'records':
        return Promise.resolve(this.#records(question));
      case 'endpoints':
        return Promise.resolve(this.#endpointsAnswer());
      case 'path':
        return this.#path(question);
      case 'watch':
        return this.#beginWatch(question);
      case 'sightings':
        return this.#sightings(question);
      case 'probe':
        return this.#probe(question);
      case 'underlay':
        return this.#underlay(question);
      default:
        return assertNever(question);
    }
  }

  async #survey(question: QuestionOf<'survey'>): Promise<NodeSurvey> {
    const { endpoints, leases, assigned, table, overlays } = this.#modules;
    const own = endpoints();
    const wanted = new Set(question.networks);
    if (question.all) {
      for (const { networkId } of own) wanted.add(networkId);
      for (const id of assigned.networks.keys()) wanted.add(id);
    }
    const networks: SurveyedNetwork[] = [];
    for (const networkId of wanted) networks.push(await this.#surveyNetwork(networkId, question.nodeId));
    return {
      vtep: this.#options.vtep,
      synced: table.synced(),
      endpoints: own.filter(({ networkId }) => wanted.has(networkId)).map((each) => this.#surveyEndpoint(each)),
      leases: leases().flatMap(({ networkId, address }) =>
        wanted.has(networkId) ? [{ networkId, address: withoutPrefix(address) }] : [],
      ),
      networks,
      differences: question.all ? (await overlays.hostDifferences()).slice(0, MAX_DIFFERENCES) : [],
      repairs: overlays.repairs(),
    };
  }

  async #surveyNetwork(networkId: string, nodeId: string): Promise<SurveyedNetwork> {
    const { table, assigned, overlays } = this.#modules;
    const { differences, settled } = await this.#differences(networkId);
    const records = table.network(networkId);
    const version = assigned.networks.get(networkId)?.Version.Index;
    return {
      networkId,
      ...(version === undefined ? {} : { version }),
      digests: digestRecords(records),
      records: records.filter(({ owner }) => owner === nodeId).map(surveyRecord),
      differences: differences.slice(0, MAX_DIFFERENCES),
      more: Math.max(0, differences.length - MAX_DIFFERENCES),
      settled,
      repairs: overlays.repairs(networkId),
    };
  }

  /** That a network cannot be judged is a finding, and must not hide what there is to say of the others. */
  async #differences(networkId: string): Promise<{ differences: Difference[]; settled: boolean }> {
    try {
      const { desired, observed, settled } = await this.#examine(networkId);
      return { differences: differencesOf(namespaceName(networkId), desired, observed), settled };
    } catch (error) {
      const found = messageOf(error).slice(0, 300);
      return { differences: [{ kind: 'not examined', object: networkId, expected: '', found }], settled: false };
    }
  }

  /** An overlay that is being changed is looked at again, for half a second. */
  async #examine(networkId: string): Promise<Examination> {
    for (let tries = 1; ; tries++) {
      const examination = await this.#modules.overlays.examine(networkId);
      if (examination.settled || tries === EXAMINE_TRIES) return examination;
      await sleep(this.#modules.clock, EXAMINE_EVERY_MS);
    }
  }

  #records({ of }: QuestionOf<'records'>): RecordsAnswer {
    const { table } = this.#modules;
    const records = of.map(({ networkId, owner }) =>
      table
        .network(networkId)
        .filter((record) => record.owner === owner)
        .map(surveyRecord),
    );
    return { records };
  }

  #endpointsAnswer(): EndpointsAnswer {
    const endpoints = this.#modules.endpoints().map((each) => this.#surveyEndpoint(each));
    return { vtep: this.#options.vtep, endpoints };
  }

  #surveyEndpoint({ endpointId, networkId, address, address6, mac, state }: LocalNetworkEndpoint): SurveyedEndpoint {
    const container = this.#modules.containers.get(endpointId);
    return {
      endpointId,
      networkId,
      address: withoutPrefix(address),
      ...(address6 === undefined ? {} : { address6: withoutPrefix(address6) }),
      mac,
      state,
      containerId: container?.containerId ?? '',
      name: container?.name ?? '',
      running: container?.running ?? false,
    };
  }

  async #path({ networkId, endpointId, peer }: QuestionOf<'path'>): Promise<PathEvidence> {
    const { overlays, table } = this.#modules;
    const endpoint = this.#endpoint(endpointId);
    const records = table.network(networkId);
    const host = records.find(({ address, address6 }) => address === peer || address6 === peer)?.vtep;
    const [examination, underlay, sandbox, guard] = await Promise.all([
      this.#examine(networkId),
      overlays.underlay(),
      this.#sandbox(endpoint, peer),
      host === undefined ? undefined : overlays.guardView(networkId, host),
    ]);
    return pathEvidence({
      networkId,
      endpointId,
      peer,
      examination,
      records,
      sandbox,
      underlay,
      guard,
    });
  }

  async #sandbox(endpoint: LocalNetworkEndpoint, peer: string): Promise<SandboxEvidence | { error: string }> {
    try {
      const addresses = [endpoint.address, endpoint.address6 ?? ''].map(withoutPrefix);
      const at = { addresses, mac: endpoint.mac };
      return await viewSandbox(await this.#sandboxPath(endpoint), at, peer);
    } catch (error) {
      return { error: messageOf(error).slice(0, 300) };
    }
  }

  async #sandboxPath(endpoint: LocalNetworkEndpoint): Promise<string> {
    if (endpoint.sandboxKey !== '') return endpoint.sandboxKey;
    const container = this.#modules.containers.get(endpoint.endpointId);
    const path = container === undefined ? '' : await this.#modules.sandboxOf(container.containerId);
    if (path !== '') return path;
    throw new WaggleError('not-found', 'the container has no network namespace: it does not run');
  }

  async #beginWatch({ networkId, marker }: QuestionOf<'watch'>): Promise<Record<string, never>> {
    const { observed, desired } = await this.#modules.overlays.examine(networkId);
    const overlay: Place = { place: 'overlay', namespace: namespacePath(namespaceName(networkId)) };
    const places: Place[] = [{ place: 'host' }, ...(observed.namespace ? [overlay] : [])];
    await this.#watch.begin(marker, desired?.port ?? this.#options.port, places);
    return {};
  }

  async #sightings({ marker }: QuestionOf<'sightings'>): Promise<SightingsAnswer> {
    return { sightings: await this.#watch.end(marker) };
  }

  async #probe({ endpointId, ...request }: QuestionOf<'probe'>): Promise<ProbeAnswer> {
    return echoProbe(checked(request), await this.#sandboxPath(this.#endpoint(endpointId)));
  }

  #underlay({ address, size }: QuestionOf<'underlay'>): Promise<ProbeAnswer> {
    return echoProbe(checked({ address, size, marker: randomBytes(8).toString('hex') }));
  }

  #endpoint(endpointId: string): LocalNetworkEndpoint {
    const found = this.#modules.endpoints().find((endpoint) => endpoint.endpointId === endpointId);
    if (found === undefined) throw new WaggleError('not-found', `endpoint ${endpointId} is not on this node`);
    return found;
  }
}

function checked<T extends { address: string }>(request: T): T {
  if (isIpv4(request.address) || isIpv6(request.address)) return request;
  throw new WaggleError('invalid-argument', `${request.address} is not an address`);
}
