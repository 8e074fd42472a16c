import { type Spread, spreadOf } from './percentiles.ts';

/** Who is measured; `routed` is Waggle without encapsulation, `bare` the machine without an orchestrator: hosts, or containers on a plain engine. */
export type Contender = 'waggle' | 'routed' | 'swarm' | 'bare';

export interface Metric {
  /** Unique in a run; begins with its bench's name. */
  name: string;
  unit: string;
  better: 'less' | 'more';
}

export interface MetricResult extends Metric {
  spreads: Partial<Record<Contender, Spread>>;
  samples: Partial<Record<Contender, readonly number[]>>;
}

interface Entry {
  metric: Metric;
  samples: Map<Contender, number[]>;
}

/** Everything that was measured, in the order in which metrics first appeared, and what a reader must know about it. */
export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #notes: string[] = [];

  add(metric: Metric, contender: Contender, value: number): void {
    const entry = this.#entries.get(metric.name) ?? { metric, samples: new Map<Contender, number[]>() };
    this.#entries.set(metric.name, entry);
    const samples = entry.samples.get(contender) ?? [];
    entry.samples.set(contender, samples);
    samples.push(value);
  }

  /** Said once, however often it is noted. */
  note(text: string): void {
    if (!this.#notes.includes(text)) this.#notes.push(text);
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  results(): MetricResult[] {
    return [...this.#entries.values()].map(({ metric, samples }) => ({
      ...metric,
      spreads: Object.fromEntries([...samples].map(([contender, values]) => [contender, spreadOf(values)])),
      samples: Object.fromEntries(samples),
    }));
  }
}
