import type { Placement, TaskObject } from '../../proto/objects/task.ts';
import { BinaryHeap } from './binary-heap.ts';
import { groupKey, MAX_FAILURES, type NodeInfo } from './node-info.ts';
import type { Pipeline } from './pipeline.ts';

const NODE_LABELS = 'node.labels.';
const ENGINE_LABELS = 'engine.labels.';

/** A node and what it is ordered by, as of the last time it was looked at. */
interface Candidate {
  info: NodeInfo;
  failures: number;
}

interface Branch {
  label: string;
  /** Active tasks of the service on all nodes below, also on those that take no more. */
  tasks: number;
  below: BinaryHeap<Branch> | BinaryHeap<Candidate>;
  leaf: boolean;
}

interface Leaf extends Branch {
  below: BinaryHeap<Candidate>;
  leaf: true;
}

interface Fork extends Branch {
  below: BinaryHeap<Branch>;
  leaf: false;
}

/**
 * The nodes that a group of like tasks may go to, split by the values of its placement preferences, one level a
 * preference. Each task goes down the branch that has the fewest tasks of the service, then to the node with
 * the fewest recent failures (from MAX_FAILURES on), the fewest active tasks of the service, the fewest in total
 * (SWARM-BEHAVIOUR 2.4). Built in the number of nodes; each task then costs its logarithm.
 */
export class SpreadTree {
  readonly #root: Fork | Leaf;
  readonly #pipeline: Pipeline;

  constructor(nodes: Iterable<NodeInfo>, task: TaskObject, pipeline: Pipeline, nowMs: number) {
    this.#pipeline = pipeline;
    const group = groupKey(task);
    const candidates = [...nodes].map((info) => {
      const failures = info.recentFailures(group, nowMs);
      return { info, failures: failures >= MAX_FAILURES ? failures : 0 };
    });
    this.#root = this.#grow('', candidates, spreadsOf(task.Spec.Placement), task.ServiceID);
  }

  /**
   * Chooses the node for one more task and lets `place` put it there before the tree is put in order again.
   * @returns undefined when no node takes it.
   */
  assign(place: (info: NodeInfo) => void): NodeInfo | undefined {
    return this.#assignBelow(this.#root, place);
  }

  #assignBelow(branch: Fork | Leaf, place: (info: NodeInfo) => void): NodeInfo | undefined {
    if (branch.leaf) return this.#assignAt(branch, place);
    for (let child = branch.below.peek(); child !== undefined; child = branch.below.peek()) {
      const info = this.#assignBelow(child as Fork | Leaf, place);
      if (info !== undefined) {
        branch.tasks++;
        branch.below.sink();
        return info;
      }
      branch.below.pop();
    }
    return undefined;
  }

  #assignAt(leaf: Leaf, place: (info: NodeInfo) => void): NodeInfo | undefined {
    for (let next = leaf.below.peek(); next !== undefined; next = leaf.below.peek()) {
      // Whatever has become too full since it was sorted in is found out when its turn comes.
      if (!this.#pipeline.fits(next.info)) {
        leaf.below.pop();
        continue;
      }
      place(next.info);
      leaf.tasks++;
      leaf.below.sink();
      return next.info;
    }
    return undefined;
  }

  #grow(label: string, candidates: Candidate[], spreads: readonly Spread[], serviceId: string): Fork | Leaf {
    const tasks = candidates.reduce((sum, { info }) => sum + info.activeOf(serviceId), 0);
    const [spread, ...rest] = spreads;
    if (spread === undefined) {
      return { label, tasks, leaf: true, below: new BinaryHeap(candidates, candidateOrder(serviceId)) };
    }
    const byValue = Map.groupBy(candidates, ({ info }) => spread(info));
    const children = [...byValue].map(([value, members]) => this.#grow(value, members, rest, serviceId));
    return { label, tasks, leaf: false, below: new BinaryHeap<Branch>(children, branchLess) };
  }
}

/** The value by which a level splits; a node without the label belongs to the bucket of the empty value. */
type Spread = (info: NodeInfo) => string;

function spreadsOf(placement: Placement | undefined): Spread[] {
  return (placement?.Preferences ?? []).flatMap(({ Spread: spread }) => {
    const descriptor = spread?.SpreadDescriptor ?? '';
    const lower = descriptor.toLowerCase();
    if (lower.startsWith(NODE_LABELS) && descriptor.length > NODE_LABELS.length) {
      const key = descriptor.slice(NODE_LABELS.length);
      return [(info: NodeInfo) => info.node.Spec.Labels?.[key] ?? ''];
    }
    if (lower.startsWith(ENGINE_LABELS) && descriptor.length > ENGINE_LABELS.length) {
      const key = descriptor.slice(ENGINE_LABELS.length);
      return [(info: NodeInfo) => info.node.Description?.Engine.Labels?.[key] ?? ''];
    }
    return [];
  });
}

function branchLess(a: Branch, b: Branch): boolean {
  return a.tasks === b.tasks ? a.label < b.label : a.tasks < b.tasks;
}

function candidateOrder(serviceId: string): (a: Candidate, b: Candidate) => boolean {
  return (a, b) => {
    if (a.failures !== b.failures) return a.failures < b.failures;
    const ofA = a.info.activeOf(serviceId);
    const ofB = b.info.activeOf(serviceId);
    if (ofA !== ofB) return ofA < ofB;
    if (a.info.activeTasks !== b.info.activeTasks) return a.info.activeTasks < b.info.activeTasks;
    return a.info.node.ID < b.info.node.ID;
  };
}
