DROP TABLE delivery_queues;
DROP TABLE deliveries;
DROP TABLE webhooks;
