/** Families of metrics in Prometheus' text format. Imported at the first scrape. */
import { AggregatorRegistry, Registry } from 'prom-client';
import type { Family } from './family.js';

export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** What is counted is counted elsewhere, as if by other processes: this only writes it down. */
export function metricsText(families: readonly Family[]): Promise<string> {
  const metrics = families.map(({ samples, ...family }) => ({
    ...family,
    aggregator: 'sum',
    values: samples.map(({ suffix = '', ...sample }) => ({
      metricName: family.name + suffix,
      ...sample,
    })),
  }));
  return AggregatorRegistry.aggregate([metrics]).metrics();
}
